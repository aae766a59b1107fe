"""The characters that pictures in text are drawn with, and those pictures."""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from collab_sdk.vocabulary import PlanKind
from collabd.ctl.top.lines import ScreenLine, Style


@dataclass(frozen=True, kw_only=True)
class Glyphs:
    """Characters of one column each. `levels`: of a sparkline, from the lowest to the highest."""

    levels: str
    head: str
    cut: str
    tail: str
    idle: str
    more: str
    degrees: str
    arrow: str
    keys: str


UNICODE = Glyphs(levels="▁▂▃▄▅▆▇█", head="█", cut="│", tail="░", idle="·", more="…", degrees="°C", arrow="→", keys="↑↓")
ASCII = Glyphs(
    levels="_.:-=+*#", head="=", cut="|", tail="-", idle=".", more="~", degrees="C", arrow="->", keys="arrows"
)


@dataclass(frozen=True)
class Canvas:
    """What is drawn on: so many columns of a terminal that shows these characters."""

    width: int
    glyphs: Glyphs


def glyphs_of(environment: Mapping[str, str], codeset: str) -> Glyphs:
    """What the terminal of this locale shows.

    In the locale C, or without one, Python itself sets LC_CTYPE to C.UTF-8 (PEP 538): that says nothing of the
    terminal.
    """
    named = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    if not environment.get("LC_ALL") and environment.get("LC_CTYPE") == "C.UTF-8":
        named = environment.get("LANG") or ""
    is_utf8 = "UTF8" in named.upper().replace("-", "") and codeset.upper() == "UTF-8"
    return UNICODE if is_utf8 else ASCII


def own_glyphs() -> Glyphs:
    """Those of this process's terminal."""
    return glyphs_of(os.environ, locale.nl_langinfo(locale.CODESET))


def sparkline(values: Sequence[float | None], canvas: Canvas, most: float | None = None) -> str:
    """The newest values, the last one at the right; a gap where none was measured.

    The lowest level is 0, the highest `most` (None: the most that is shown).
    """
    width = max(canvas.width, 0)
    shown = list(values)[-width:] if width else []
    top = most or max((value for value in shown if value is not None), default=0.0)
    return "".join(_level(value, top, canvas.glyphs.levels) for value in shown).rjust(width)


def _level(value: float | None, top: float, levels: str) -> str:
    if value is None:
        return " "
    part = value / top if top > 0 else 0.0
    return levels[min(max(int(part * len(levels)), 0), len(levels) - 1)]


def network_bar(kind: str | None, placement: str, canvas: Canvas) -> ScreenLine:
    """The network from its first layer to its last: what ran here, each cut, and what ran on the companion.

    `placement`: one letter for each layer, as planned. All idle: the network did not run, since the answer came from
    elsewhere, or none has come.
    """
    width, glyphs = canvas.width, canvas.glyphs
    if kind == PlanKind.LOCAL:
        return ScreenLine.of(glyphs.head * width, Style.HEAD)
    if kind == PlanKind.IMAGE:
        return ScreenLine.of(glyphs.cut, Style.STRONG).add(glyphs.tail * (width - 1), Style.TAIL)
    runs = [(side, len(list(letters))) for side, letters in groupby(placement)]
    if kind != PlanKind.SPLIT or width < 2 * len(runs) - 1:
        return ScreenLine.of(glyphs.idle * width, Style.FAINT)
    bar = ScreenLine()
    for index, ((side, _), size) in enumerate(zip(runs, _sizes([layers for _, layers in runs], width), strict=True)):
        if index:
            bar.add(glyphs.cut, Style.STRONG)
        here = side == "D"
        bar.add((glyphs.head if here else glyphs.tail) * size, Style.HEAD if here else Style.TAIL)
    return bar


def _sizes(layers: Sequence[int], width: int) -> list[int]:
    """How many of the columns that the cuts leave each run of layers gets: one at least."""
    room = width - (len(layers) - 1)
    sizes = [max(round(room * count / sum(layers)), 1) for count in layers]
    sizes[sizes.index(max(sizes))] += room - sum(sizes)
    return sizes
