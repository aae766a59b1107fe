from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import helper

from collabd.partition import Network, segment

# x → a → b → c, y = c + a: `a` is alive across the two positions in the middle.
FRONTIERS = [("x",), ("a",), ("a", "b"), ("a", "c"), ("y",)]


@pytest.fixture
def skip(model: Callable[..., onnx.ModelProto]) -> Network:
    steps = [helper.make_node("Relu", [source], [name]) for source, name in zip("xab", "abc", strict=True)]
    return Network.from_proto(model([*steps, helper.make_node("Add", ["c", "a"], ["y"])], ["y"]))


def test_the_frontiers_are_those_of_the_graph(skip: Network) -> None:
    assert list(skip.graph.frontiers) == FRONTIERS


@pytest.mark.parametrize(
    ("start", "end", "inputs", "outputs"),
    [
        (0, 4, ("x",), ("y",)),
        (0, 2, ("x",), ("a", "b")),
        (1, 3, ("a",), ("c",)),
        (2, 3, ("b",), ("c",)),
        (2, 4, ("a", "b"), ("y",)),
    ],
)
def test_a_segment_takes_what_it_uses_and_gives_what_is_new(
    skip: Network, start: int, end: int, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    assert segment(skip, FRONTIERS, start=start, end=end) == (inputs, outputs)
