"""What a package says of the little network that may answer in its place, where that is sure enough."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec

from collab_sdk.reports import LadderReport, LittleReport, ThresholdReport
from collab_sdk.vocabulary import Precision, Sureness
from collabd.catalog.package.promise import promised

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What comes of letting the little network answer where its sureness is `least` or more.

    `share`: the part of all calibration pictures that it answers; `sure_share`: the same of those of which the big
    network is sure. Of `images` of the latter that it answers, `agreed` got the top-1 of the big network.
    """

    least: float
    share: float
    sure_share: float
    agreed: int
    images: int

    @property
    def agreement(self) -> float:
        """The agreement with the big network that is promised for what the little one answers, 0..1."""
        return promised(self.agreed, self.images)

    def total(self, rest: float, exact: float | None = None) -> float:
        """The fidelity of both together, 0..1, where the plan for the other pictures has the fidelity `rest`.

        `exact`: what is promised of both if that plan changes nothing; None: what was counted for the package. All that
        that plan changes counts: most of it is among the hard pictures, which the little network leaves to it.
        """
        if exact is None:
            exact = self.sure_share * self.agreement + 1 - self.sure_share
        return exact - (1 - rest)


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the little network is worth in one precision: how its sureness is measured, and at which thresholds.

    `thresholds`: the strictest first. They were counted over answers in this very precision.
    """

    precision: Precision = Precision.FP32
    score: Sureness
    thresholds: tuple[Threshold, ...]


class Little(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The little network: the name and digest of its package, and what each of its precisions is worth."""

    package: str
    digest: str
    ladders: tuple[Ladder, ...]

    def ladder(self, precision: Precision) -> Ladder | None:
        """What it is worth in this precision; None: nothing, or that is not known."""
        return next((each for each in self.ladders if each.precision == precision), None)


def little_report(little: Little, off: str = "") -> LittleReport:
    """What is told of it. `off`: why it answers no calls; empty if it does."""
    return LittleReport(model=little.package, off=off, ladders=[_ladder_report(each) for each in little.ladders])


def _ladder_report(ladder: Ladder) -> LadderReport:
    thresholds = [
        ThresholdReport(
            least=each.least, share=each.share, agreed=each.agreed, images=each.images, fidelity=each.total(1.0)
        )
        for each in ladder.thresholds
    ]
    return LadderReport(precision=ladder.precision, score=ladder.score, thresholds=thresholds)


def little_faults(little: Little) -> Iterator[str]:
    """What is wrong with it by itself."""
    if not _DIGEST.fullmatch(little.digest):
        yield f"the little network's digest {little.digest[:80]!r} is none"
    if not little.ladders:
        yield "the little network has no thresholds"
    if len({each.precision for each in little.ladders}) < len(little.ladders):
        yield "the little network has thresholds of one precision twice"
    for ladder in little.ladders:
        yield from _ladder_faults(ladder)


def _ladder_faults(ladder: Ladder) -> Iterator[str]:
    if ladder.precision.is_reduced:
        yield f"the little network runs on devices, and not in {ladder.precision}"
    if not ladder.thresholds:
        yield f"the little network has no thresholds in {ladder.precision}"
    leasts = [each.least for each in ladder.thresholds]
    if leasts != sorted(set(leasts), reverse=True):
        yield "the thresholds of the little network do not fall"
    for each in ladder.thresholds:
        shares = each.share, each.sure_share
        if not (math.isfinite(each.least) and all(0 <= share <= 1 for share in shares)):
            yield f"the threshold {each.least} of the little network has impossible shares {shares}"
        if not 0 <= each.agreed <= each.images:
            yield f"the threshold {each.least} of the little network has {each.agreed} of {each.images} agreed"
