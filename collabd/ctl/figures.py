"""Figures as text for tables, with three digits; "-" stands for a value that was not measured."""

from __future__ import annotations

from itertools import groupby

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


def plan(name: str, *, placement: str, codec: str, cloud: str | None, reason: str) -> str:
    """A plan in words, from the name of its cut and its placement (one letter for each layer)."""
    cuts = "layers" if name == placement else "cut"
    where = "all on the device" if cloud is None else f"{cuts} {cut(name, len(placement))} as {codec} to {cloud}"
    return f"{where} ({reason})"
