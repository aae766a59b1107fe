"""What every measure is like, and the measure of each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collabd.catalog.package.manifest import Classify, Detect, Manifest, Segment
from collabd.profiling.likeness.boxes import BoxLikeness
from collabd.profiling.likeness.classes import ClassLikeness
from collabd.profiling.likeness.maps import MapLikeness
from collabd.profiling.likeness.values import ValueLikeness
from collabd.profiling.likeness.verdict import Shares, Telling, Verdict
from collabd.tasks.detect import DetectAnswers
from collabd.tasks.tensors import Outputs


class Likeness(Protocol):
    """Compares outputs with those of the unsplit network, for the same images."""

    def shares(self, found: Outputs, first: int) -> Shares:
        """How much each answer is like the unsplit network's. `found` are of the images from `first` on."""

    def telling(self, shares: Shares) -> Telling:
        """Which images say something of fidelity, bool [images], given the shares of all of them."""

    def verdict(self, shares: Shares) -> Verdict:
        """What to tell, from the shares of all images."""


def likeness_of(manifest: Manifest, unsplit: Outputs, sizes: Sequence[tuple[int, int]]) -> Likeness:
    """The measure of the package's task. `unsplit`: what the whole network gives for all images, stacked.

    `sizes`: width and height that each image had before it became the network's input.
    """
    names = manifest.output_names
    match manifest.task:
        case Classify() as task:
            return ClassLikeness(unsplit, names[0], task.output_kind)
        case Detect() as task:
            return BoxLikeness(unsplit, DetectAnswers(task, manifest.require_picture(), names), sizes)
        case Segment():
            return MapLikeness(unsplit, names[0])
    return ValueLikeness(unsplit)
