"""Outputs that go to the caller as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy.typing as npt

from collab_sdk.answers import RawOutputs
from collabd.catalog.package.manifest import Port

# By name.
Outputs: TypeAlias = Mapping[str, npt.NDArray[Any]]


class TensorAnswers:
    """`TaskAnswers`: the network's own outputs by their names, for one picture or one set of tensors."""

    takes_long = False

    def __init__(self, outputs: Sequence[Port]) -> None:
        self.ports = tuple(port.at_batch_1() for port in outputs)

    def __call__(self, outputs: Outputs, _: object) -> Outputs:
        """The outputs in the order of the package."""
        return {port.name: outputs[port.name] for port in self.ports}

    def line(self, answer: Outputs) -> Callable[[], str]:
        """The names and forms of the outputs. It is written at once, since the outputs may take megabytes."""
        said = str(RawOutputs(answer))
        return lambda: said
