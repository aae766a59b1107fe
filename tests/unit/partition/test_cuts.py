from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from collabd.partition import Network, candidate_cuts, layers

Build = Callable[..., onnx.ModelProto]


def network(model: Build, *steps: str) -> Network:
    """A chain of steps: a number is a 1x1 convolution to so many channels, anything else an operator."""
    nodes, weights, channels = [], {}, 4
    names = ["x", *(f"{index}.{step}" for index, step in enumerate(steps, start=1))]
    for step, source, name in zip(steps, names, names[1:], strict=False):
        if step.isdigit():
            weights[f"k{name}"] = np.ones((int(step), channels, 1, 1), np.float32)
            nodes.append(helper.make_node("Conv", [source, f"k{name}"], [name]))
            channels = int(step)
        elif step == "Swish":
            nodes.append(helper.make_node("Sigmoid", [source], [f"{name}.gate"]))
            nodes.append(helper.make_node("Mul", [source, f"{name}.gate"], [name]))
        elif step == "Half":
            nodes.append(helper.make_node("MaxPool", [source], [name], kernel_shape=[2, 2], strides=[2, 2]))
        else:
            nodes.append(helper.make_node(step, [source], [name]))
    return Network.from_proto(model(nodes, [names[-1]], weights))


def names(found: Network, limit: int = 16) -> Sequence[str]:
    return [cut.name for cut in candidate_cuts(found, layers(found), limit)]


def test_the_image_comes_first_and_a_cut_must_have_fewer_bytes_than_all_before(model: Build) -> None:
    # The second convolution is wider, the third as wide as the first: only the fourth gains anything.
    assert names(network(model, "3", "6", "3", "2", "1")) == ["image", "1.3", "4.2"]


def test_the_image_does_not_dominate(model: Build) -> None:
    assert names(network(model, "32", "16", "1")) == ["image", "1.32", "2.16"]


def test_a_cut_stands_behind_the_activation(model: Build) -> None:
    assert names(network(model, "8", "Relu", "4", "Swish", "2", "Neg", "1")) == ["image", "2.Relu", "4.Swish", "5.2"]


def test_pooling_is_no_activation(model: Build) -> None:
    assert names(network(model, "8", "Half", "1")) == ["image", "1.8", "2.Half"]


def test_the_output_is_no_cut_though_an_activation_follows_the_last_convolution(model: Build) -> None:
    assert names(network(model, "8", "4", "Relu")) == ["image", "1.8"]


def test_too_many_are_thinned_evenly_keeping_both_ends(model: Build) -> None:
    chain = network(model, *(str(width) for width in range(40, 0, -1)))
    found = names(chain, 6)
    assert len(found) == 6
    assert found[0] == "image"
    widths = [int(name.split(".")[1]) for name in found[1:]]
    assert (widths[0], widths[-1]) == (40, 2)
    work = np.cumsum([layer.macs for layer in layers(chain)])
    steps = np.diff([work[40 - width] / work[-1] for width in widths])
    assert steps.max() < 0.5
    assert names(chain)[1:] == sorted(names(chain)[1:], key=lambda name: int(name.split(".")[0]))


def test_a_limit_of_one_or_two_leaves_the_image_and_the_smallest(model: Build) -> None:
    chain = network(model, "8", "6", "4", "1")
    assert names(chain, 1) == ["image"]
    assert names(chain, 2) == ["image", "3.4"]
