"""Counted agreement that fades: what this device's own pictures show of a row, and what its package still weighs."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.catalog.package.manifest import Agreement
from collabd.catalog.package.promise import promised
from collabd.profiling.evidence import worth_of

# What earlier pictures of this device still count, and what those of the package do, when one more is counted: about
# the last 1,000 count, and a hundred pictures of a camera leave little of what the package brought. So the evidence
# never gets less on the way: 1,000 of the package and none here are 306 together at the least.
_KEPT_HERE = 1 - 1 / 1000
_KEPT_OF_PACKAGE = 1 - 1 / 100


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for a row. All may be parts of pictures.

    `agreed`: of this device's pictures and the package's together. `here` and `packaged`: how many these are.
    """

    agreed: float
    here: float
    packaged: float

    @property
    def pictures(self) -> float:
        """All pictures."""
        return self.here + self.packaged

    @property
    def fidelity(self) -> float:
        """The agreement promised, 0..1."""
        return promised(self.agreed, self.pictures)


@dataclass(kw_only=True)
class RowTally:
    """Of one row: `agreed` of `images` pictures here agreed. The package's count `packaged` times what they did."""

    agreed: float = 0.0
    images: float = 0.0
    packaged: float = 1.0

    def count(self, share: float) -> None:
        """One more picture, of which the row's answer has this share, 0..1."""
        self.agreed = self.agreed * _KEPT_HERE + share
        self.images = self.images * _KEPT_HERE + 1
        self.packaged *= _KEPT_OF_PACKAGE

    def evidence(self, package: Agreement, usual: float) -> Evidence:
        """What speaks for the row. `usual`: the share of the most frequent class among this device's pictures."""
        counted = worth_of(self.images, usual * self.images) / self.images if self.images else 0.0
        return Evidence(
            agreed=self.agreed * counted + package.sure_agreed * self.packaged,
            here=self.images * counted,
            packaged=package.sure_images * self.packaged,
        )
