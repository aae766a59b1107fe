"""What is behind the answer of a network: from its outputs to what the caller gets. It is chosen once for a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from collabd.catalog.package.manifest import Classify, Detect, Manifest, Port, Segment, Tensors
from collabd.tasks.classify import ClassifyAnswers
from collabd.tasks.detect import DetectAnswers
from collabd.tasks.segment import SegmentAnswers
from collabd.tasks.tensors import Outputs, TensorAnswers


class TaskAnswers(Protocol):
    """Makes the answers of one model.

    `ports`: what a caller gets; None stands for a size that differs from answer to answer. `takes_long`: whether that
    may take more than a millisecond.
    """

    @property
    def ports(self) -> tuple[Port, ...]: ...  # noqa: D102
    @property
    def takes_long(self) -> bool: ...  # noqa: D102

    def __call__(self, outputs: Outputs, size: tuple[int, int], /) -> Outputs:
        """The answer by names, from the outputs for one picture, or for tensors. Safe in any thread.

        `size`: width and height of the caller's picture in pixels, once it is upright; (0, 0) if there is none.
        """

    def line(self, answer: Outputs, /) -> Callable[[], str]:
        """What tells later, in a line, what this answer was. It keeps 64 kB of the answer at most."""


def answers_of(manifest: Manifest) -> TaskAnswers:
    """What makes the answers of this package."""
    match manifest.task:
        case Classify() as task:
            return ClassifyAnswers(task, manifest.output_names[0])
        case Detect() as task:
            return DetectAnswers(task, manifest.require_picture(), manifest.output_names)
        case Segment() as task:
            return SegmentAnswers(task, manifest.require_picture(), manifest.output_names[0])
        case Tensors():
            return raw_answers_of(manifest)


def raw_answers_of(manifest: Manifest) -> TaskAnswers:
    """What gives the outputs of this package as they are."""
    return TensorAnswers(manifest.outputs)
