"""Packages pushed by digest: kept and served if sound, refused without a trace if not."""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import (
    CollabError,
    InvalidPackage,
    PermissionRefused,
    RequestTooLarge,
    UnknownModel,
    UnknownPackage,
)
from collabd.catalog import bundle
from collabd.catalog import package as packages
from collabd.catalog.package import Package


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
    other = packages.write(tmp_path / "elsewhere" / "branchy", manifest, model, "CC0-1.0")
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
    import onnx

    model = onnx.load(package.path / packages.MODEL)
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    convolution.op_type, convolution.domain = "Convolute", "nowhere"
    broken = packages.write(tmp_path / "elsewhere" / "branchy", package.manifest, model.SerializeToString(), "CC0-1.0")
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
    assert "damaged is no model package" in caplog.text
