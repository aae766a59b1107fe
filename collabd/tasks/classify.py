"""Classifiers answer with probabilities."""

from __future__ import annotations

from collections.abc import Callable

from collab_sdk.answers import Classification
from collab_sdk.result import SCORES
from collabd.catalog.package.manifest import Classify, Port
from collabd.catalog.package.scores import as_probabilities
from collabd.tasks.tensors import Outputs


class ClassifyAnswers:
    """`TaskAnswers`: `scores`, float32 [1, labels]."""

    takes_long = False

    def __init__(self, task: Classify, output: str) -> None:
        self.ports = (Port(SCORES, "float32", (1, len(task.labels))),)
        self._output = output
        self._kind = task.output_kind
        self._labels = task.labels

    def __call__(self, outputs: Outputs, _: object) -> Outputs:
        """The scores as the caller gets them."""
        return {SCORES: as_probabilities(outputs[self._output][0], self._kind).reshape(1, -1)}

    def line(self, answer: Outputs) -> Callable[[], str]:
        """The likeliest label."""
        return lambda: str(Classification(answer[SCORES][0], self._labels))
