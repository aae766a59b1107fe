from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab_sdk.errors import InvalidPackage, RequestTooLarge
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from collabd.catalog.trial.apart import try_apart

Files = dict[str, bytes]

unpack = partial(bundle.unpack, try_out=try_apart)


@pytest.fixture
def files(tiny_package: Package) -> Files:
    return {path.name: path.read_bytes() for path in tiny_package.path.iterdir()}


def archive(files: Files, change: Callable[[tarfile.TarInfo], None] | None = None, **options: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", **options) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if change and name == "model.onnx":
                change(member)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def resealed(files: Files) -> tuple[bytes, str]:
    """The archive of changed files whose digest fits them, so that only what they hold can be the reason to refuse."""
    whole = hashlib.sha256()
    for name in packages.CONTENT:
        whole.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    digest = f"sha256:{whole.hexdigest()}"
    return archive(files | {"digest": digest.encode()}), digest


def refuse(data: bytes, parent: Path, digest: str, match: str, max_bytes: int = 1 << 24) -> None:
    parent.mkdir(exist_ok=True)
    with pytest.raises(InvalidPackage, match=match):
        unpack(data, parent, digest=digest, max_bytes=max_bytes)
    assert list(parent.iterdir()) == []


def test_a_package_survives_the_way(tiny_package: Package, tmp_path: Path) -> None:
    received = unpack(bundle.pack(tiny_package), tmp_path, digest=tiny_package.digest, max_bytes=1 << 24)
    assert received.digest == tiny_package.digest
    assert received.manifest == tiny_package.manifest
    assert packages.load(received.path) == received
    assert list(tmp_path.iterdir()) == [received.path]


def test_equal_packages_give_equal_bytes(tiny_package: Package, tmp_path: Path) -> None:
    data = bundle.pack(tiny_package)
    assert bundle.pack(unpack(data, tmp_path, digest=tiny_package.digest, max_bytes=1 << 24)) == data


def test_a_package_may_be_received_again(tiny_package: Package, tmp_path: Path) -> None:
    for _ in range(2):
        received = unpack(bundle.pack(tiny_package), tmp_path, digest=tiny_package.digest, max_bytes=1 << 24)
    assert list(tmp_path.iterdir()) == [received.path]


def test_too_many_bytes_are_refused(tiny_package: Package, tmp_path: Path) -> None:
    data = bundle.pack(tiny_package)
    with pytest.raises(RequestTooLarge, match=f"{len(data)} bytes"):
        unpack(data, tmp_path, digest=tiny_package.digest, max_bytes=len(data) - 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "0" * 64, "sha256:" + "0" * 64 + "/../x"])
def test_a_digest_that_is_none_is_refused(tiny_package: Package, tmp_path: Path, digest: str) -> None:
    refuse(bundle.pack(tiny_package), tmp_path, digest, "is not a digest")


def test_another_package_than_announced_is_refused(tiny_package: Package, tmp_path: Path) -> None:
    refuse(bundle.pack(tiny_package), tmp_path, "sha256:" + "0" * 64, "announced as sha256:000")


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "model.onnx/x", "weights.bin", "x" * 99])
def test_other_files_are_refused(tiny_package: Package, files: Files, tmp_path: Path, name: str) -> None:
    refuse(archive(files | {name: b""}), tmp_path / "in", tiny_package.digest, "has the file")
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_a_file_twice_is_refused(tiny_package: Package, files: Files, tmp_path: Path) -> None:
    twice = archive({"digest": b"x"})[: 2 * tarfile.BLOCKSIZE] + archive(files)
    refuse(twice, tmp_path, tiny_package.digest, "the file 'digest'; it must have each")


@pytest.mark.parametrize("name", ["LICENCE", "digest", "model.onnx", "package.json"])
def test_a_lacking_file_is_named(tiny_package: Package, files: Files, tmp_path: Path, name: str) -> None:
    del files[name]
    refuse(archive(files), tmp_path, tiny_package.digest, f"lacks {name}")


@pytest.mark.parametrize(("name", "limit"), [("digest", 256), ("LICENCE", 1 << 20), ("package.json", 1 << 20)])
def test_each_small_file_has_a_limit(
    tiny_package: Package, files: Files, tmp_path: Path, name: str, limit: int
) -> None:
    refuse(archive(files | {name: bytes(limit + 1)}), tmp_path, tiny_package.digest, f"{name} has {limit + 1} bytes")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_regular_file_is_refused(tiny_package: Package, files: Files, tmp_path: Path, kind: bytes) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.size, member.linkname = kind, 0, "/etc/passwd"

    refuse(archive(files, change), tmp_path, tiny_package.digest, "not a regular file")


def test_a_size_below_zero_does_not_loop(tiny_package: Package, files: Files, tmp_path: Path) -> None:
    data = archive({"digest": b"x"}, format=tarfile.GNU_FORMAT)
    block = bytearray(data[: tarfile.BLOCKSIZE])
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    refuse(bytes(block) + data[tarfile.BLOCKSIZE :], tmp_path, tiny_package.digest, "cut short")


def test_weights_in_another_file_are_refused(files: Files, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(files["model.onnx"])
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    data, digest = resealed(files | {"model.onnx": model.SerializeToString()})
    refuse(data, tmp_path, digest, "in another file")


def test_weights_in_another_file_are_found_in_nested_graphs(files: Files, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(files["model.onnx"])
    constant = onnx.TensorProto(name="nested", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    body = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=constant)], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], [], then_branch=body))
    data, digest = resealed(files | {"model.onnx": model.SerializeToString()})
    refuse(data, tmp_path, digest, "'nested' in another file")


def test_a_graph_that_is_none_is_refused(files: Files, tmp_path: Path) -> None:
    data, digest = resealed(files | {"model.onnx": b"\xff\xff\xff"})
    refuse(data, tmp_path, digest, "not a sound ONNX graph")


def test_an_unsound_graph_is_refused(files: Files, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(files["model.onnx"])
    model.graph.node[-1].op_type = "Gemmm"
    data, digest = resealed(files | {"model.onnx": model.SerializeToString()})
    refuse(data, tmp_path, digest, "not a sound ONNX graph.*Gemmm")


def test_a_graph_that_does_not_fit_is_refused(files: Files, tmp_path: Path) -> None:
    manifest = json.loads(files["package.json"])
    manifest["task"]["labels"].append("moon")
    manifest["outputs"][0]["shape"][1] = 4
    data, digest = resealed(files | {"package.json": json.dumps(manifest).encode()})
    refuse(data, tmp_path, digest, r"^model\.onnx: the graph gives logits .* but the package says logits")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_refused_or_the_same(tiny_package: Package, tmp_path: Path, data: st.DataObject) -> None:
    whole = bundle.pack(tiny_package)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :], whole[at:]])
    )
    try:
        received = unpack(damaged, tmp_path, digest=tiny_package.digest, max_bytes=1 << 24)
    except InvalidPackage:
        return
    # Padding and dates in the archive are nobody's content.
    assert packages.digest_of(received.path) == tiny_package.digest


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=2048))
def test_noise_is_refused(tmp_path: Path, noise: bytes) -> None:
    refuse(noise, tmp_path, "sha256:" + "0" * 64, "archive")


def test_a_package_with_int8_survives_the_way(int8_package: Package, tmp_path: Path) -> None:
    received = unpack(bundle.pack(int8_package), tmp_path, digest=int8_package.digest, max_bytes=1 << 24)
    assert received.manifest == int8_package.manifest
    assert [*received.networks()] == ["fp32", "int8"]


def test_an_int8_graph_that_nobody_names_is_refused(tiny_package: Package, files: Files, tmp_path: Path) -> None:
    data = archive(files | {"model.int8.onnx": files["model.onnx"]})
    refuse(data, tmp_path, tiny_package.digest, "digest")
