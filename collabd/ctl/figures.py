"""Figures as text for tables, with three digits; "-" stands for a value that was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from collab_sdk.vocabulary import INHERIT, Cascade, Precision

if TYPE_CHECKING:
    from collab_sdk.reports import EvidenceReport


UNKNOWN = "-"
_DIGEST_LETTERS = 12


def number(value: float | None) -> str:
    """0.04, 1.23, 12.3, 1234."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def size(octets: int | None) -> str:
    """Bytes, from 1,000 on in thousands and then in millions: 955, 1.20k, 602k."""
    if octets is None:
        return UNKNOWN
    if octets < 1000:
        return str(octets)
    return f"{number(octets / 1e3)}k" if octets < 999_500 else f"{number(octets / 1e6)}M"


def share(part: float | None) -> str:
    """0..1 as percent: 99.5 %."""
    return UNKNOWN if part is None else f"{100 * part:.4g} %"


def part(some: int, of: int) -> str:
    """A count of a count: 301 of 302."""
    return f"{some} of {of}" if of else UNKNOWN


def evidence(counted: EvidenceReport | None) -> str:
    """The pictures that speak for a plan: 99.3 % of 812 pictures here (and 100 from the package)."""
    if counted is None:
        return UNKNOWN
    here, packaged = f"{counted['here']:.0f} pictures here", f"{counted['packaged']:.0f} from the package"
    return f"{100 * counted['agreed']:.1f} % of {here} (and {packaged})"


def pictures(counted: EvidenceReport | None) -> str:
    """How many speak for a plan, here and in the package: 812+15."""
    return UNKNOWN if counted is None else f"{counted['here']:.0f}+{counted['packaged']:.0f}"


def load(part: float | None) -> str:
    """0..1 as whole percent, for values that always change a little: 13 %."""
    return UNKNOWN if part is None else f"{100 * part:.0f} %"


def price(cost: float | None) -> str:
    """A cost, which may be far below 1: 0.002, 1.5e-06."""
    return UNKNOWN if cost is None else f"{cost:.3g}"


def factor(value: float | None) -> str:
    """A factor: 1.02x."""
    return UNKNOWN if value is None else f"{number(value)}x"


def duration(seconds: float) -> str:
    """A duration in its two largest units: 42 s, 3 h 12 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if count]
    return " ".join(parts[:2]) or "0 s"


def short_digest(digest: str) -> str:
    """The beginning of a digest, long enough to tell packages apart."""
    return digest.removeprefix("sha256:")[:_DIGEST_LETTERS]


def yes_no(value: bool) -> str:
    """A truth value in words."""
    return "yes" if value else "no"


def cut(name: str, layers: int) -> str:
    """The name of a cut; for a plan with several crossings, its placement with the count of layers: 2D 4C 1D."""
    if len(name) != layers or set(name) != {"D", "C"}:
        return name
    return " ".join(f"{len(list(run))}{side}" for side, run in groupby(name))


def cascade(kind: str | None, part: float | None, precision: str | None) -> str:
    """When a plan asks a little network, its precision, and which part of the calls it answers: raced int8 49 %."""
    return "" if kind is None or part is None else f"{kind} {precision} {100 * part:.0f} %"


def plan(report: Mapping[str, Any]) -> str:
    """The plan of a reported call in words: a `LastReport`, a `DecisionReport`, or the plan of a result."""
    name, placement, cloud, little = report["cut"], report["placement"], report["cloud"], report["little"]
    if name == INHERIT:
        return f"inherited, {report['codec']} ({report['reason']})"
    cuts = "layers" if name == placement else "cut"
    sent = f"{cuts} {cut(name, len(placement))} as {report['codec']} to {cloud}"
    where = ("all on the device" if cloud is None else sent) + _computed(report["precision"])
    if little is not None:
        little += _computed(report["little_precision"])
        first = report["cascade"] == Cascade.SERIAL
        where = f"{little} first, else {where}" if first else f"{where}, raced by {little}"
    return f"{where} ({report['reason']})"


def _computed(precision: str | None) -> str:
    return "" if precision in {None, Precision.FP32} else f" in {precision}"
