"""From latencies to ratios: what a cell says, and what all cells say together."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean, median

import msgspec

from tests.bench.alternatives.caller import ANY, BARE, BARE_INT8, DEFAULT, FIXED_JPEG, JPEG, LOCAL, RAW
from tests.bench.alternatives.networks import PAIRS
from tests.bench.alternatives.orders import Costs, Form, Measured

# Of the calls that a mean is taken of.
_COUNTED = 0.95
SIMPLE = (BARE, BARE_INT8, JPEG, RAW)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A network, the form of its images, a link, and what was measured there."""

    network: str
    form: Form
    mbit: float
    rtt_ms: float
    measured: list[Measured]

    def ms(self, name: str) -> float:
        """The usual latency of an alternative. Raises StopIteration where there is none of this name."""
        return next(self.usual_ms(each) for each in self.measured if each.name == name)

    def usual_ms(self, measured: Measured) -> float:
        """The median; of a pair the mean, since its little network answers a part of the calls, and the median hides
        that. From the mean the slowest twentieth is left out: what else runs makes single calls slow."""
        if self.network not in PAIRS:
            return median(measured.latencies_ms)
        ordered = sorted(measured.latencies_ms)
        return fmean(ordered[: max(math.ceil(len(ordered) * _COUNTED), 1)])

    def has(self, name: str) -> bool:
        """Whether there is an alternative of this name. Not every network has an int8 graph."""
        return any(each.name == name for each in self.measured)

    @property
    def best(self) -> Measured:
        """The fastest way through collabd, of all plans that were tried."""
        ours = [each for each in self.measured if each.name not in SIMPLE]
        return min(ours, key=self.usual_ms)

    @property
    def best_simple(self) -> str:
        """The fastest of what a user would write."""
        return min(filter(self.has, SIMPLE), key=self.ms)

    @property
    def errors(self) -> list[float]:
        """How far the predictions lay from what calls took, as shares of that."""
        return [
            abs(took - predicted) / took
            for each in self.measured
            for took, predicted in zip(each.latencies_ms, each.predicted_ms, strict=False)
        ]

    @property
    def name(self) -> str:
        """For a human."""
        return f"{self.network}, {self.form}, {self.mbit:g} Mbit/s, {self.rtt_ms:g} ms"

    def __str__(self) -> str:
        found = sorted(((self.usual_ms(each), each) for each in self.measured), key=lambda pair: pair[0])
        return f"{self.name}: " + ", ".join(
            f"{each.name}{f' ({each.plan})' if each.name in {DEFAULT, ANY} else ''} {_ms(ms)}" for ms, each in found
        )


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What local calls of a network cost."""

    network: str
    form: Form
    costs: Costs


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured, and where. `load`: of the last minute before, in running processes."""

    machine: str
    date: str
    load: float
    share: float
    cells: list[Cell]
    costs: list[Cost]


RATIOS: dict[str, Callable[[Cell], float]] = {
    "local call / bare ONNX Runtime": lambda cell: cell.ms(LOCAL) / cell.ms(BARE),
    "best plan / best simple alternative": lambda cell: cell.usual_ms(cell.best) / cell.ms(cell.best_simple),
    "out of the box / always JPEG": lambda cell: cell.ms(DEFAULT) / cell.ms(JPEG),
    "any fidelity / best simple alternative": lambda cell: cell.ms(ANY) / cell.ms(cell.best_simple),
    "out of the box / best simple alternative": lambda cell: cell.ms(DEFAULT) / cell.ms(cell.best_simple),
}


def markdown(report: Report) -> str:
    """The tables of docs/performance.md."""
    return "\n".join([*_summary(report), *_errors(report), *_local(report), *_cells(report), *_costs(report)])


def sections(report: Report, detectors: Collection[str]) -> dict[str, Report]:
    """What stands between the marks of each name on a page. Detectors are apart: their plans are others."""
    parts = {
        "bench-alternatives": _part(report, lambda network: network not in detectors),
        "bench-alternatives-detectors": _part(report, lambda network: network in detectors),
    }
    return {name: part for name, part in parts.items() if part.cells or part.costs}


def _part(report: Report, has: Callable[[str], bool]) -> Report:
    cells = [cell for cell in report.cells if has(cell.network)]
    return msgspec.structs.replace(report, cells=cells, costs=[cost for cost in report.costs if has(cost.network)])


def put_between(marks: tuple[str, str], page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page. Raises ValueError where it has them not."""
    begin, end = marks
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no lines {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def _summary(report: Report) -> list[str]:
    where = (
        f"Measured on {report.date} on {report.machine}; the device has {report.share:.0%} of a core. Load of the last "
        f"minute before: {report.load:.1f}; what else runs makes times longer."
    )
    lines = [where, ""]
    if report.cells:
        lines += _heads("ratio of latencies", "cells", "geometric mean", "best", "worst", "worst cell")
    for name, ratio in RATIOS.items():
        found = {cell.name: ratio(cell) for cell in report.cells}
        if found:
            worst = max(found, key=found.__getitem__)
            mean, low, high = geometric_mean([*found.values()]), min(found.values()), found[worst]
            lines.append(
                _row(
                    name,
                    str(len(found)),
                    f"{mean:.2f}",
                    f"{low:.2f}",
                    f"{high:.2f}",
                    worst,
                )
            )
    return [*lines, ""]


def _errors(report: Report) -> list[str]:
    errors = sorted(error for cell in report.cells for error in cell.errors)
    if not errors:
        return []
    p90 = errors[min(int(0.9 * len(errors)), len(errors) - 1)]
    said = f"Predicted latency is off by {median(errors):.1%} in the median, {p90:.0%} at the 90th percentile"
    return [f"{said} ({len(errors)} calls, all plans that were tried).", ""]


def _local(report: Report) -> list[str]:
    lines = _heads("network", "image", "bare", "local call", "local / bare")
    kinds = dict.fromkeys((cell.network, cell.form) for cell in report.cells)
    for network, form in kinds:
        cells = [cell for cell in report.cells if (cell.network, cell.form) == (network, form)]
        bare, local = (median([cell.ms(name) for cell in cells]) for name in (BARE, LOCAL))
        ratio = median([cell.ms(LOCAL) / cell.ms(BARE) for cell in cells])
        lines.append(_row(network, form, _ms(bare), _ms(local), f"{ratio:.2f}"))
    return [*lines, ""] if kinds else []


def _cells(report: Report) -> list[str]:
    if not report.cells:
        return []
    names = ("bare", "bare int8", "JPEG", "raw", "default", "any", "JPEG plan", "local", "best plan")
    lines = _heads("network", "image", "Mbit/s", "RTT", *names, "which", "best / simple", "default / JPEG")
    for cell in report.cells:
        columns = (BARE, BARE_INT8, JPEG, RAW, DEFAULT, ANY, FIXED_JPEG, LOCAL)
        figures = [_ms(cell.ms(name)) if cell.has(name) else "" for name in columns]
        ratios = [
            f"{RATIOS[name](cell):.2f}"
            for name in ("best plan / best simple alternative", "out of the box / always JPEG")
        ]
        link = f"{cell.mbit:g}", f"{cell.rtt_ms:g} ms"
        best = _ms(cell.usual_ms(cell.best)), cell.best.plan.replace("output/none", "local")
        lines.append(_row(cell.network, cell.form, *link, *figures, *best, *ratios))
    return [*lines, ""]


def _costs(report: Report) -> list[str]:
    if not report.costs:
        return []
    lines = _heads("local call", "image", "of", "CPU", "beyond bare", "caller", "daemon", "faults", "daemon reads")
    for cost in report.costs:
        bare = next(each for each in cost.costs.spent if each.name == BARE)
        for each in cost.costs.spent:
            beyond = "" if each.name == BARE else _ms(each.cpu_ms - bare.cpu_ms)
            daemon = ("", "") if each.name == BARE else (_ms(each.daemon_ms), f"{each.daemon_read_kb:.0f} kB")
            faults = f"{each.caller_faults:.0f} + {each.daemon_faults:.0f}"
            figures = _ms(each.cpu_ms), beyond, _ms(each.caller_ms), daemon[0], faults, daemon[1]
            lines.append(_row(cost.network, cost.form, each.name, *figures))
    return [*lines, ""]


def _heads(*names: str) -> list[str]:
    return [_row(*names), _row(*("---" for _ in names))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.{2 if milliseconds < 10 else 1 if milliseconds < 100 else 0}f} ms"


def geometric_mean(ratios: Sequence[float]) -> float:
    """That of ratios."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
