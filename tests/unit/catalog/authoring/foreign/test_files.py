"""Files as people have them: weights beside them or not, too large, with a suffix in capitals."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from collab_sdk.errors import InvalidPackage, InvalidRequest
from tests.unit.catalog.authoring.foreign.networks import (
    answer,
    built,
    check,
    file,
    normalised,
    photo,
    plain,
    planes,
    taken,
)  # fmt: skip


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A network with its weights in `net.onnx.data`, as PyTorch writes it."""
    (tmp_path / "apart").mkdir()
    path = tmp_path / "apart/net.onnx"
    onnx.save(plain(), path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    return path


def test_weights_beside_the_file_are_read(apart: Path, tmp_path: Path) -> None:
    image = photo()
    check(built(taken(apart), tmp_path), image, answer(plain(), planes(normalised(image))))


def test_a_missing_file_of_weights_is_named(apart: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(apart, tmp_path / "alone/net.onnx")
    with pytest.raises(
        InvalidRequest, match=r"net\.onnx keeps its weights in net\.onnx\.data, but that file is missing"
    ) as told:
        taken(tmp_path / "alone/net.onnx")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "inner/../../secret", "link"])
def test_weights_outside_of_the_directory_are_not_read(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    (folder / "link").symlink_to(tmp_path / "secret")
    network = plain()
    weight = network.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    with pytest.raises(InvalidRequest, match="outside its directory"):
        taken(file(network, folder))


def test_a_file_of_weights_that_is_too_short_is_refused_in_words(apart: Path) -> None:
    apart.with_suffix(".onnx.data").write_bytes(bytes(100))
    with pytest.raises(InvalidRequest, match="is not a readable ONNX file"):
        taken(apart)


def too_large(folder: Path, *, kind: int) -> Path:
    """Says that it has 1.1 thousand million weights; the file of them takes no room and holds one."""
    network = plain()
    weight = onnx.TensorProto(name="big", data_type=kind, dims=[1_100, 1_000_000], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="big.data")
    network.graph.initializer.append(weight)
    network.graph.node.append(helper.make_node("Identity", ["big"], ["unread"]))
    (folder / "big.data").write_bytes(bytes(4))
    return file(network, folder)


@pytest.mark.parametrize(("kind", "size"), [(TensorProto.FLOAT, "4.4 GB"), (TensorProto.DOUBLE, "8.8 GB")])
def test_more_than_a_graph_holds_is_said_before_it_is_read(kind: int, size: str, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidPackage, match=f"its weights take {size}, but an ONNX graph holds at most 2.1 GB"
    ) as told:
        taken(too_large(tmp_path, kind=kind))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["NET.ONNX", "Net.Onnx"])
def test_a_suffix_in_capitals(name: str, tmp_path: Path) -> None:
    assert taken(file(plain(), tmp_path, name)).name == name.partition(".")[0]
