"""A package gets an int8 graph: what is in it then, and when it gets none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collab_sdk.vocabulary import Precision
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.quantise.package import quantise
from collabd.catalog.package.manifest import Classify, Manifest, Picture, Tensors
from collabd.catalog.package.package import MODEL, Package
from collabd.codec import LOSSLESS
from tests.task_networks import mixer, package_of
from tests.unit.catalog.authoring.quantise.test_search import SIDE, chain, coloured

FP32, INT8 = Precision.FP32, Precision.INT8


@pytest.fixture(scope="module")
def quantised(
    tiny_package: Package, tiny_images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Package:
    return quantise(tiny_package, tiny_images, tell=str, out=tmp_path_factory.mktemp("int8") / "tiny")


def built(model: onnx.ModelProto, out: Path, **stated: Any) -> Package:
    usual: dict[str, Any] = {
        "name": "chain",
        "task": Classify(labels=tuple("abcde")),
        "picture": Picture(height=SIDE, width=SIDE),
        "licence": "CC0-1.0",
        "provenance": "made for the tests",
    }
    return build(model, **(usual | stated), out=out)


def in_fp32(manifest: Manifest) -> Manifest:
    """Without what is said of int8."""
    cuts = (
        msgspec.structs.replace(cut, codecs=tuple(each for each in cut.codecs if each.head == each.tail == FP32))
        for cut in manifest.cuts
    )
    return msgspec.structs.replace(manifest, precisions=(FP32,), cuts=tuple(cuts))


def pictures(count: int) -> list[np.ndarray]:
    return list(coloured(count))


def test_its_own_graph_and_figures_stay(quantised: Package, tiny_package: Package) -> None:
    assert (quantised.path / MODEL).read_bytes() == (tiny_package.path / MODEL).read_bytes()
    assert in_fp32(quantised.manifest) == tiny_package.manifest
    assert quantised.manifest.precisions == (FP32, INT8)


def test_both_graphs_fit_together(quantised: Package) -> None:
    assert set(quantised.networks()) == {FP32, INT8}
    graph = onnx.load(quantised.path / "model.int8.onnx").graph
    assert TensorProto.INT8 in {weight.data_type for weight in graph.initializer}


def test_each_combination_has_a_lossless_row(quantised: Package) -> None:
    image, *interior = quantised.manifest.cuts
    assert {(each.head, each.tail) for each in image.codecs if each.codec in LOSSLESS} == {(FP32, FP32), (FP32, INT8)}
    for cut in interior:
        kept = {(each.head, each.tail) for each in cut.codecs if each.codec in LOSSLESS}
        assert kept == {(head, tail) for head in (FP32, INT8) for tail in (FP32, INT8)}


def test_every_row_with_int8_is_measured_and_worth_a_plan(quantised: Package) -> None:
    for cut in quantised.manifest.cuts:
        rows = [each for each in cut.codecs if INT8 in (each.head, each.tail)]
        assert all(each.agreement is not None and each.agreement.images > 30 for each in rows)
        assert all(each.fidelity >= 0.9 for each in rows if each.codec not in LOSSLESS)
        for each in rows:
            rivals = (
                other
                for other in rows
                if (other.head, other.tail) == (each.head, each.tail) and not {each.codec, other.codec} & LOSSLESS
            )
            assert not any(
                other.bytes_median < each.bytes_median and other.fidelity > each.fidelity for other in rivals
            )


def test_the_whole_network_answers_like_itself(quantised: Package) -> None:
    whole = quantised.manifest.whole_int8
    assert whole is not None
    assert whole.agreement is not None
    assert whole.agreement.sure_agreed == whole.agreement.sure_images > 0


def test_again_gives_the_same(quantised: Package, tiny_images: list[np.ndarray], tmp_path: Path) -> None:
    assert quantise(quantised, tiny_images, tell=str, out=tmp_path / "again").digest == quantised.digest


def test_it_may_replace_itself(tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path: Path) -> None:
    stated = {"task": Classify(labels=("circle", "square", "star")), "picture": Picture(height=16, width=16)}
    package = built(tiny_model, tmp_path / "net", **stated)
    assert quantise(package, tiny_images, tell=str, out=package.path).path == package.path
    assert (package.path / "model.int8.onnx").is_file()


def test_pictures_that_choose_do_not_measure(tmp_path: Path) -> None:
    told: list[str] = []
    package = built(chain(hurt=[]), tmp_path / "net")
    made = quantise(package, pictures(240), tell=told.append, out=package.path)
    whole = made.manifest.whole_int8
    assert whole is not None
    assert whole.agreement is not None
    assert whole.agreement.images <= 160  # two of three runs of eight
    assert "flatters" not in " ".join(told)


def test_with_few_pictures_the_same_choose_and_measure(quantised: Package, tmp_path: Path) -> None:
    told: list[str] = []
    package = built(chain(hurt=[]), tmp_path / "net")
    quantise(package, pictures(60), tell=told.append, out=package.path)
    assert "flatters" in " ".join(told)


@pytest.mark.parametrize("count", [0, 31])
def test_too_few_pictures_are_refused(count: int, tiny_package: Package, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=f"at least 32 pictures that differ, better 300, and there are {count}"):
        quantise(tiny_package, pictures(count), tell=str, out=tmp_path / "out")


def test_copies_of_a_picture_count_once(tiny_package: Package, tiny_images: list[np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="there are 2:"):
        quantise(tiny_package, tiny_images[:2] * 20, tell=str, out=tmp_path / "out")


def test_a_network_of_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="takes tensors"):
        quantise(package_of("tensors", tmp_path / "mixer"), pictures(40), tell=str, out=tmp_path / "out")
    with pytest.raises(InvalidRequest, match="takes tensors"):
        built(mixer(), tmp_path / "out", task=Tensors(), picture=None, int8=True)


@pytest.fixture
def hopeless(tmp_path: Path) -> Callable[..., Package]:
    """A network whose work is nearly all in layers that 8 bits cannot hold."""
    return lambda **stated: built(chain(hurt=[1, 2, 3]), tmp_path / "net", **stated)


def test_what_answers_differently_in_int8_stays_in_fp32(hopeless: Callable[..., Package], tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="it stays in fp32"):
        quantise(hopeless(), pictures(60), tell=str, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_build_goes_on_without_int8_where_that_is_no_use(hopeless: Callable[..., Package]) -> None:
    told: list[str] = []
    package = hopeless(images=pictures(60), int8=True, tell=told.append)
    assert package.manifest.precisions == (FP32,)
    assert "there is no int8 graph: " in told[-1]


def test_a_build_with_int8_is_a_build_that_is_quantised(
    quantised: Package, tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    manifest = quantised.manifest
    stated = {"name": "tiny", "task": manifest.task, "picture": manifest.picture, "images": tiny_images, "int8": True}
    made = built(tiny_model, tmp_path / "net", **stated)
    assert made.manifest.cuts == manifest.cuts
    assert (made.path / "model.int8.onnx").read_bytes() == (quantised.path / "model.int8.onnx").read_bytes()
