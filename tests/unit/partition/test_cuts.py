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


def decoded(model: Build, decoder: str) -> Sequence[str]:
    """The cuts of two convolutions, to 8 and to 4 channels, of 6x6 cells, and `decoder`."""
    nodes = [
        helper.make_node("Conv", ["x", "k8"], ["wide"]),
        helper.make_node("Conv", ["wide", "k4"], ["raw"]),
        helper.make_node("Sigmoid", ["raw"], ["scores"]),
    ]
    if decoder == "chooses":
        nodes += [
            helper.make_node("Flatten", ["scores"], ["all"]),
            helper.make_node("TopK", ["all", "ten"], ["best", "where"]),
            helper.make_node("Neg", ["best"], ["near"]),
            helper.make_node("Abs", ["near"], ["y"]),
        ]
    else:
        nodes.append(helper.make_node("Resize", ["scores", "", "factors"], ["y"]))
    weights = {"k8": np.ones((8, 4, 1, 1), np.float32), "k4": np.ones((4, 8, 1, 1), np.float32)}
    weights |= {"ten": np.array([10]), "factors": np.array([1, 1, 4, 4], np.float32)}
    return names(Network.from_proto(model(nodes, ["y"], weights)))


def test_nothing_is_cut_inside_a_decoder_which_costs_less_than_to_send_what_it_reads(model: Build) -> None:
    assert decoded(model, "chooses") == ["image", "wide"]


def test_a_cut_before_a_decoder_that_makes_more_than_it_reads_stays(model: Build) -> None:
    assert decoded(model, "resizes") == ["image", "wide", "scores"]


def test_a_network_that_only_rewrites_is_cut_where_its_tensors_are_small(model: Build) -> None:
    assert names(network(model, "Half", "Neg", "Half")) == ["image", "1.Half"]


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


def test_nothing_is_cut_where_a_size_is_unknown(model: Build) -> None:
    """How many values are above zero depends on the image; counted as one, they would be the smallest cut of all."""
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("NonZero", ["b"], ["where"]),
        helper.make_node("Cast", ["where"], ["places"], to=1),
        helper.make_node("Unsqueeze", ["places", "front"], ["plane"]),
        helper.make_node("Conv", ["plane", "k2"], ["open"]),
        helper.make_node("ReduceMean", ["open", "along"], ["y"], keepdims=0),
    ]
    weights = {name: np.ones(shape, np.float32) for name, shape in (("k1", (8, 4, 1, 1)), ("k2", (1, 1, 1, 1)))}
    weights |= {"front": np.array([0, 1]), "along": np.array([3])}
    found = Network.from_proto(model(nodes, ["y"], weights))
    specs = layers(found)
    assert any(not found.tensor(name).is_sized for spec in specs for name in spec.tensors)
    cuts = candidate_cuts(found, specs, first="inputs")
    assert [cut.name for cut in cuts] == ["inputs", "b"]


def test_an_output_that_is_known_before_the_cut_is_not_sent(model: Build) -> None:
    """`early` makes later boundaries no dearer, since the device keeps it; `both` is read again and sent."""
    nodes = [
        helper.make_node("Conv", ["x", "k8"], ["both"]),
        helper.make_node("Conv", ["both", "k32"], ["early"]),
        helper.make_node("Conv", ["both", "k4"], ["narrow"]),
        helper.make_node("Conv", ["narrow", "k1"], ["late"]),
    ]
    sizes = {"k8": (8, 4), "k32": (32, 8), "k4": (4, 8), "k1": (1, 4)}
    weights = {name: np.ones((*shape, 1, 1), np.float32) for name, shape in sizes.items()}
    found = Network.from_proto(model(nodes, ["early", "late", "both"], weights))
    assert found.behind(("x",)) == (("x",), ("early", "late", "both"))
    assert found.behind(("both",)) == (("both",), ("early", "late"))
    assert found.behind(("both", "early")) == (("both",), ("late",))
    assert found.behind(("both", "early", "narrow")) == (("narrow",), ("late",))
    assert names(found) == ["image", "both", "narrow"]
