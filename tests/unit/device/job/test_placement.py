"""Letters, stages and cuts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.errors import InvalidPlacement
from collabd.catalog.package.manifest import Classify, Cut, Layer, Manifest, Picture, Port
from collabd.device.job.placement import head_layers_of, parse_placement, single_cut, stages

MANIFEST = Manifest(
    name="tiny",
    task=Classify(labels=("a", "b")),
    picture=Picture(height=4, width=4),
    inputs=(Port("image", "uint8", (None, 4, 4, 3)),),
    outputs=(Port("logits", "float32", (None, 2)),),
    dynamic_batch=True,
    layers=(
        Layer(name="conv", op="Conv", tensors=("conv",), macs=10),
        Layer(name="left", op="Conv", tensors=("conv", "left"), macs=10),
        Layer(name="logits", op="Gemm", tensors=("logits",), macs=10),
    ),
    cuts=(
        Cut(name="image", head_layers=0, tensors=("image",), codecs=()),
        Cut(name="conv", head_layers=1, tensors=("conv",), codecs=()),
    ),
    licence="none",
    provenance="a test",
)


@given(st.text("DC", min_size=1, max_size=40))
def test_stages_cover_every_layer_in_order_and_alternate(placement: str) -> None:
    found = stages(placement)
    assert "".join(stage.letters for stage in found) == placement
    assert [stage.first for stage in found] == [0, *(stage.last for stage in found[:-1])]
    assert all(a.side != b.side for a, b in itertools.pairwise(found))


def test_single_cut() -> None:
    assert [single_cut(head, 3) for head in range(4)] == ["CCC", "DCC", "DDC", "DDD"]


@pytest.mark.parametrize(("cut", "head"), [("image", 0), ("conv", 1), ("left", 2), ("logits", 3), ("output", 3)])
def test_cuts_by_name(cut: str, head: int) -> None:
    assert head_layers_of(cut, MANIFEST) == head


@pytest.mark.parametrize(
    ("text", "says"),
    [("DDX", "not 'X'"), ("DC", "3 layers, but the placement has 2 letters"), ("", "0 letters"), ("ddd", "'d'")],
)
def test_placements_that_are_none(text: str, says: str) -> None:
    with pytest.raises(InvalidPlacement, match=says):
        parse_placement(text, MANIFEST)


def test_a_cut_that_is_none_lists_those_there_are() -> None:
    with pytest.raises(InvalidPlacement, match=r"no cut 'pool' \(the candidate cuts are image, conv, output, .*\)"):
        head_layers_of("pool", MANIFEST)


def test_a_cut_that_is_misspelt_is_recognised() -> None:
    with pytest.raises(InvalidPlacement, match="did you mean 'image'"):
        head_layers_of("imgae", MANIFEST)
