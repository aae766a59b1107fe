"""Packages pushed by digest: kept and served if sound, refused without a trace if not."""

import asyncio
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from collab_sdk import wire
from collab_sdk.errors import (
    CollabError,
    InvalidPackage,
    PermissionRefused,
    RequestTooLarge,
    StorageUnavailable,
    UnknownModel,
    UnknownPackage,
)
from collab_sdk.vocabulary import Precision
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from collabd.cloud.api.remote_peers import RemotePeerLimits
from collabd.engine import EngineError


def tampered(package: Package, replaced: dict[str, bytes], rename: dict[str, str] | None = None) -> bytes:
    """The package's archive with other contents or names of files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in (*packages.CONTENT, packages.DIGEST):
            data = replaced.get(name, (package.path / name).read_bytes())
            member = tarfile.TarInfo((rename or {}).get(name, name))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


async def push(companion: Any, digest: str, data: bytes) -> dict[str, Any]:
    status, body = await companion.call("PUT", f"/collab/v1/packages/{digest}", data=data)
    if status >= 300:
        raise wire.decode_error(status, body)
    answer: dict[str, Any] = msgspec.json.decode(body)
    return answer


def left(tmp_path: Path) -> list[str]:
    root = tmp_path / "writable"
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


async def test_a_pushed_package_is_served_now_and_after_a_restart(
    start: Any, package: Package, local: Any, images: Any
) -> None:
    request = wire.InferRequest([wire.Tensor.from_array("image", images[:1])], parameters={"digest": package.digest})
    async with start() as companion:
        with pytest.raises(UnknownPackage):
            await companion.infer("branchy", request)
        answer = await push(companion, package.digest, bundle.pack(package))
        assert (answer["name"], answer["digest"]) == ("branchy", package.digest)
        await push(companion, package.digest, bundle.pack(package))  # two devices may do so at once
        reply = await companion.infer("branchy", request)
        np.testing.assert_allclose(reply.outputs[0].to_array(), local.whole(images[:1]), rtol=1e-5, atol=1e-6)
        _, listed = await companion.call("GET", "/collab/v1/packages")
        assert [entry["digest"] for entry in msgspec.json.decode(listed)] == [package.digest]
    async with start() as companion:
        assert (await companion.infer("branchy", request)).parameters["digest"] == package.digest
        del request.parameters["digest"]
        assert (await companion.infer("branchy", request)).parameters["digest"] == package.digest


async def test_a_package_of_a_known_name_is_held_beside_the_other(
    start: Any, package: Package, images: Any, tmp_path: Path
) -> None:
    manifest = msgspec.structs.replace(package.manifest, provenance="another version")
    model = (package.path / packages.MODEL).read_bytes()
    other = packages.write(tmp_path / "elsewhere" / "branchy", manifest, model=model, licence="CC0-1.0")
    image = [wire.Tensor.from_array("image", images[:1])]
    async with start(package.path.parent) as companion:
        await push(companion, other.digest, bundle.pack(other))
        for digest in (package.digest, other.digest):
            reply = await companion.infer("branchy", wire.InferRequest(image, parameters={"digest": digest}))
            assert reply.parameters["digest"] == digest
        # Whoever names no version keeps the one that was there.
        assert (await companion.infer("branchy", wire.InferRequest(image))).parameters["digest"] == package.digest


@pytest.mark.parametrize(
    ("digest", "data"),
    [
        ("sha256:" + "0" * 64, None),
        ("sha256:abc", None),
        ("..", None),
        ("%2e%2e%2fescape", None),
        ("", b""),
        ("", b"not an archive" * 100),
        ("", bytes(10240)),
    ],
)
async def test_wrong_digests_and_broken_archives_are_refused(
    start: Any, package: Package, tmp_path: Path, digest: str, data: bytes | None
) -> None:
    async with start() as companion:
        with pytest.raises(CollabError) as refused:
            await push(companion, digest or package.digest, bundle.pack(package) if data is None else data)
        assert refused.value.http_status in {400, 404, 405}
        assert companion.cloud.models.names == []
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["../LICENCE", "/tmp/LICENCE", "branchy/LICENCE", "LICENCE\n"])  # noqa: S108
async def test_archives_that_leave_their_directory_are_refused(
    start: Any, package: Package, tmp_path: Path, name: str
) -> None:
    async with start() as companion:
        with pytest.raises(InvalidPackage):
            await push(companion, package.digest, tampered(package, {}, {"LICENCE": name}))
    assert left(tmp_path) == []
    assert not (tmp_path / "LICENCE").exists()


async def test_altered_contents_are_refused(start: Any, package: Package, tmp_path: Path) -> None:
    async with start() as companion:
        with pytest.raises(InvalidPackage, match="digest"):
            await push(companion, package.digest, tampered(package, {"LICENCE": b"other words"}))
    assert left(tmp_path) == []


async def test_a_graph_that_does_not_run_is_refused_and_not_kept(start: Any, package: Package, tmp_path: Path) -> None:
    model = onnx.load(package.path / packages.MODEL)
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    convolution.op_type, convolution.domain = "Convolute", "nowhere"
    broken = packages.write(
        tmp_path / "elsewhere" / "branchy", package.manifest, model=model.SerializeToString(), licence="CC0-1.0"
    )
    async with start() as companion:
        with pytest.raises(InvalidPackage):
            await push(companion, broken.digest, bundle.pack(broken))
        with pytest.raises(UnknownModel):
            await push_free_infer(companion)
    assert left(tmp_path) == []


async def push_free_infer(companion: Any) -> None:
    image = wire.Tensor.from_array("image", np.zeros((1, 16, 16, 3), np.uint8))
    await companion.infer("branchy", wire.InferRequest([image]))


async def test_the_administrator_may_refuse_all_or_large_packages(start: Any, package: Package) -> None:
    async with start(packages={"accept": False}) as companion:
        with pytest.raises(PermissionRefused):
            await push(companion, package.digest, bundle.pack(package))
    async with start(packages={"max_mb": 1}) as companion:
        with pytest.raises(RequestTooLarge):
            await push(companion, package.digest, bytes(2 << 20))


async def test_a_package_installed_while_it_runs_is_found(start: Any, package: Package, tmp_path: Path) -> None:
    async with start() as companion:
        with pytest.raises(UnknownModel):
            await push_free_infer(companion)
        shutil.copytree(package.path, tmp_path / "writable" / "branchy")
        await push_free_infer(companion)


async def test_a_broken_package_does_not_keep_the_others_from_being_served(
    start: Any, package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(package.path, tmp_path / "writable" / "damaged")
    (tmp_path / "writable" / "damaged" / packages.MODEL).write_bytes(b"damaged")
    async with start(package.path.parent) as companion:
        assert companion.cloud.models.names == ["branchy"]
    assert "damaged is not a model package" in caplog.text


def version(package: Package, directory: Path, number: int) -> Package:
    """The same network as another package of its name."""
    manifest = msgspec.structs.replace(package.manifest, provenance=f"version {number}")
    model = (package.path / packages.MODEL).read_bytes()
    return packages.write(directory / f"{number}" / "branchy", manifest, model=model, licence="CC0-1.0")


@pytest.fixture
def versions(package: Package, tmp_path: Path) -> list[Package]:
    return [version(package, tmp_path / "versions", number) for number in range(4)]


async def ask(companion: Any, digest: str) -> str:
    image = wire.Tensor.from_array("image", np.zeros((1, 16, 16, 3), np.uint8))
    reply = await companion.infer("branchy", wire.InferRequest([image], parameters={"digest": digest}))
    answered: str = reply.parameters["digest"]
    return answered


async def push_all(companion: Any, versions: list[Package]) -> None:
    for each in versions:
        await push(companion, each.digest, bundle.pack(each))


def kept(tmp_path: Path, versions: list[Package]) -> set[int]:
    names = left(tmp_path)
    return {number for number, each in enumerate(versions) if each.digest.replace(":", "-") in names}


async def test_the_least_recently_used_package_makes_room_for_the_next(
    start: Any, package: Package, versions: list[Package], tmp_path: Path
) -> None:
    async with start(package.path.parent, packages={"max_packages": 2}) as companion:
        await push_all(companion, versions[:2])
        await ask(companion, versions[0].digest)
        await push_all(companion, versions[2:3])
        assert kept(tmp_path, versions) == {0, 2}
        with pytest.raises(UnknownPackage):
            await ask(companion, versions[1].digest)
        # What was installed takes no part in it.
        for each in (versions[0], versions[2], package):
            assert await ask(companion, each.digest) == each.digest
    # Use is remembered over a restart.
    async with start(package.path.parent, packages={"max_packages": 2}) as companion:
        await push_all(companion, versions[3:])
        assert kept(tmp_path, versions) == {2, 3}


async def test_the_disk_quota_is_kept(start: Any, package: Package, versions: list[Package], tmp_path: Path) -> None:
    # A licence of nearly 1 MB, so that three packages are above a device's share of 3 MB.
    large = [
        packages.write(each.path, each.manifest, model=(each.path / packages.MODEL).read_bytes(), licence="x" * 900_000)
        for each in versions[:3]
    ]
    async with start(packages={"quota_mb": 3}) as companion:
        await push_all(companion, large)
        assert kept(tmp_path, large) == {1, 2}
    async with start(packages={"quota_mb": 1, "max_mb": 2}) as companion:
        await push_all(companion, versions[3:])
        padded = bundle.pack(versions[3]) + bytes(1 << 20)
        with pytest.raises(RequestTooLarge, match="quota"):
            await push(companion, large[0].digest, padded)
        assert kept(tmp_path, versions) == {3}  # nothing had to go for what is refused anyhow


async def test_a_package_in_use_is_not_deleted(start: Any, versions: list[Package], tmp_path: Path) -> None:
    async with start(packages={"max_packages": 1}) as companion:
        await push_all(companion, versions[:1])
        with companion.cloud.models.loaded[0].lent.in_use():
            with pytest.raises(StorageUnavailable, match="in use"):
                await push_all(companion, versions[1:2])
            assert kept(tmp_path, versions) == {0}
        await push_all(companion, versions[1:2])
        assert kept(tmp_path, versions) == {1}


async def test_what_a_request_holds_outlives_its_unloading(start: Any, versions: list[Package]) -> None:
    async with start() as companion:
        await push_all(companion, versions[:1])
        models, engine = companion.cloud.models, companion.cloud.engine
        (held,) = models.loaded
        part = held.manifest.input_names, held.manifest.output_names
        with held.lent.in_use():
            # As room is made for another package, between this request's look-up and its run.
            models._unload(held.digest)
            await push_all(companion, versions[:1])
            (again,) = models.loaded
            assert again is not held
            engine.prepare(held.keys[Precision.FP32], *part)
        with pytest.raises(EngineError, match="no network"):
            engine.prepare(held.keys[Precision.FP32], *part)
        engine.prepare(again.keys[Precision.FP32], *part)


async def test_memory_for_pushed_packages_is_bounded_and_those_unloaded_still_answer(
    start: Any, package: Package, tmp_path: Path
) -> None:
    heavy = []
    for number in range(3):
        model = onnx.load(package.path / packages.MODEL)
        # 0.6 MB that takes part in the answer without changing it.
        weight = onnx.numpy_helper.from_array(np.zeros(150_000, np.float32), "ballast")
        model.graph.initializer.append(weight)
        output = model.graph.node[-1].output[0]
        model.graph.node[-1].output[0] = "light"
        model.graph.node.append(onnx.helper.make_node("ReduceSum", ["ballast"], ["nothing"], keepdims=0))
        model.graph.node.append(onnx.helper.make_node("Add", ["light", "nothing"], [output]))
        shapes: dict[str, list[str | int | None]] = {"light": ["batch", 3], "nothing": []}
        model.graph.value_info.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()
        )
        manifest = msgspec.structs.replace(package.manifest, provenance=f"heavy {number}")
        heavy.append(
            packages.write(tmp_path / f"{number}", manifest, model=model.SerializeToString(), licence="CC0-1.0")
        )
    async with start(packages={"loaded_mb": 1}) as companion:
        await push_all(companion, heavy)
        assert [model.digest for model in companion.cloud.models.loaded] == [heavy[2].digest]
        for each in heavy:
            assert await ask(companion, each.digest) == each.digest
        assert [model.digest for model in companion.cloud.models.loaded] == [heavy[2].digest]


async def test_a_push_that_is_cut_off_leaves_nothing(start: Any, package: Package, tmp_path: Path) -> None:
    data = bundle.pack(package)
    async with start() as companion:
        host, port = companion.address.removeprefix("http://").rsplit(":", 1)
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"PUT /collab/v1/packages/{package.digest} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data[: len(data) // 2])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        # The next one gets its turn, and finds nothing of it.
        await push(companion, package.digest, data)
    assert left(tmp_path) == [package.digest.replace(":", "-")]


async def test_two_devices_push_one_package_at_once(start: Any, package: Package, tmp_path: Path) -> None:
    async with start() as companion:
        answers = await asyncio.gather(*(push(companion, package.digest, bundle.pack(package)) for _ in range(3)))
        assert {answer["digest"] for answer in answers} == {package.digest}
        assert len(companion.cloud.models.loaded) == 1
    assert left(tmp_path) == [package.digest.replace(":", "-")]


async def test_what_a_crash_left_of_a_push_is_removed_at_start(start: Any, package: Package, tmp_path: Path) -> None:
    shutil.copytree(package.path, tmp_path / "writable" / ".new-sha256-abc-1" / "new")
    async with start() as companion:
        assert companion.cloud.models.names == []
    assert left(tmp_path) == []


async def test_rot_on_the_disk_is_named_and_the_package_taken_anew(
    start: Any, package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as companion:
        await push(companion, package.digest, bundle.pack(package))
    graph = tmp_path / "writable" / package.digest.replace(":", "-") / packages.MODEL
    rotten = bytearray(graph.read_bytes())
    rotten[len(rotten) // 2] ^= 1
    graph.write_bytes(rotten)
    async with start() as companion:
        assert companion.cloud.models.names == []
        assert package.digest.replace(":", "-") in caplog.text
        with pytest.raises(UnknownPackage):
            await ask(companion, package.digest)
        await push(companion, package.digest, bundle.pack(package))
        assert await ask(companion, package.digest) == package.digest


async def test_a_package_that_comes_too_slowly_gives_way_to_the_next(start: Any, package: Package) -> None:
    data = bundle.pack(package)
    async with start(limits=RemotePeerLimits(push_s=1.0)) as companion:
        host, port = companion.address.removeprefix("http://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"PUT /collab/v1/packages/{package.digest} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data[:1000])
        assert b" 408 " in await reader.readline()
        writer.close()
        await push(companion, package.digest, data)
