"""What is believed of a package's rows at one time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import CodecFigures, Cut
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.tally import Evidence
from collabd.profiling.profile import Profile


class FidelityOf(Protocol):
    """Says how faithful a codec is at a cut, 0..1."""

    def __call__(self, cut: Cut, figures: CodecFigures, /) -> float: ...  # noqa: D102


def as_packed(_: Cut, figures: CodecFigures) -> float:
    """What the package itself says."""
    return figures.fidelity


class ReducedFidelityOf(Protocol):
    """Says how faithful the reduced precision of a companion with this profile is, 0..1."""

    def __call__(self, there: Profile, /) -> float: ...  # noqa: D102


def as_counted_there(there: Profile) -> float:
    """What the companion's own count promises."""
    return 0.0 if there.bf16_agreement is None else there.bf16_agreement.fidelity


def reduced_row(there: Profile) -> Row:
    """The row of the reduced precision in this profile."""
    return Row.of_reduced(Precision.BF16, there.computed_by)


class Fidelities:
    """What is believed of a package's rows. It never changes: when something is learned, there is a new one."""

    def __init__(self, evidence: Mapping[Row, Evidence]) -> None:
        """`evidence`: of the lossy rows, if their agreement is counted."""
        self.evidence = evidence
        self._promised = {row: each.fidelity for row, each in evidence.items()}

    def of(self, cut: Cut, figures: CodecFigures) -> float:
        """How faithful a codec is at a cut, 0..1. What is not counted is as the package says."""
        return self._promised.get(Row.packed(cut, figures), figures.fidelity)

    def of_reduced(self, there: Profile) -> float:
        """How faithful the reduced precision of a companion with this profile is, 0..1."""
        return self._promised.get(reduced_row(there), 0.0)

    def promised(self, row: Row) -> float:
        """What is promised of a row of `evidence`, 0..1."""
        return self._promised[row]
