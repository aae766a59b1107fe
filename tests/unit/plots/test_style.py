"""Pictures can be read in grey, and the same report has the same file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from collabd.plots import kinds, simulation, style
from collabd.plots.explain import picture as explain_picture
from collabd.plots.profile import picture as profile_picture
from collabd.plots.profile import sizes
from collabd.plots.profile.bars import PARTS
from collabd.plots.style import Mark
from tests.unit.plots.conftest import recorded

# Of two greys that are told apart beside each other, in parts of white (CIE L*, 0..100).
_APART = 12.0


def lightness(luminance: float) -> float:
    """CIE L* of a relative luminance, 0..100."""
    return float(116 * np.cbrt(luminance) - 16) if luminance > 0.008856 else 903.3 * luminance


def test_luminance_is_that_of_grey() -> None:
    assert style.luminance(style.BLACK) == 0
    assert style.luminance(style.WHITE) == pytest.approx(1)
    assert style.luminance("#808080") == pytest.approx(0.2159, abs=1e-4)


def test_neighbouring_fills_differ_in_grey_or_in_their_hatch() -> None:
    fills = [fill for _, fill in PARTS.values()]
    # Parts that take no time are left out, so each may stand beside any other of the next two.
    for first, second in [*pairwise(fills), *zip(fills, fills[2:], strict=False)]:
        apart = abs(lightness(style.luminance(first.colour)) - lightness(style.luminance(second.colour)))
        assert first.hatch != second.hatch or apart > _APART, (first, second)


def test_fills_differ_where_they_are_drawn_in_grey(tmp_path: Path) -> None:
    path = tmp_path / "fills.png"
    with style.picture(path, (8.0, 1.0)) as figure:
        axes = figure.subplots()
        for place, (_, fill) in enumerate(PARTS.values()):
            axes.barh(0, 1, 1, place, **fill.options)
        axes.set_axis_off()
        axes.set_xlim(0, len(PARTS))
    grey = np.asarray(Image.open(path).convert("L"), np.float64)
    inside = grey[grey.shape[0] // 3 : -grey.shape[0] // 3]
    width = inside.shape[1] / len(PARTS)
    pieces = [inside[:, int((p + 0.2) * width) : int((p + 0.8) * width)] for p in range(len(PARTS))]
    looks = [(piece.mean(), piece.std()) for piece in pieces]
    for (mean, spread), (other, other_spread) in pairwise(looks):
        assert abs(mean - other) > 12 or abs(spread - other_spread) > 12


@pytest.mark.parametrize(
    "marks", [kinds.KINDS, kinds.VERDICTS, sizes.CODECS, dict(enumerate(simulation.MARKS))], ids=range(4)
)
def test_marks_of_one_picture_differ_without_colour(marks: Mapping[object, Mark]) -> None:
    assert len({(mark.marker, mark.hollow) for mark in marks.values()}) == len(marks)


def test_lines_of_one_picture_differ_without_colour() -> None:
    lines = [(str(stroke.style), stroke.width) for stroke in simulation.LINES.values()]
    assert len({*lines}) == len(lines)


@pytest.mark.parametrize(
    ("value", "said"), [(0.0421, "0.0421"), (12.34, "12.3"), (1634.0, "1630"), (2_340_000, "2340000"), (0, "0")]
)
def test_numbers_have_three_digits_and_no_exponent(value: float, said: str) -> None:
    assert style.number(value) == said


def _profile(path: Path) -> None:
    profile_picture.plot(recorded("profile-detector"), path)


def _explain(path: Path) -> None:
    explain_picture.plot(recorded("explain-one"), path)


@pytest.mark.parametrize(("draw", "suffix"), [(_profile, ".svg"), (_explain, ".png")])
def test_the_same_report_has_the_same_file(tmp_path: Path, draw: Callable[[Path], None], suffix: str) -> None:
    first, second = (tmp_path / f"{name}{suffix}" for name in ("first", "second"))
    draw(first)
    draw(second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")


def test_percents_are_stretched_towards_the_end(figure: Figure) -> None:
    axes = figure.subplots()
    style.percents(axes, 80)
    heights = axes.transData.transform([(0, y) for y in (80, 90, 99, 99.9, 100)])[:, 1]
    assert np.all(np.diff(heights) > 0)
    assert heights[3] - heights[2] == pytest.approx(heights[2] - heights[1], rel=0.3)
