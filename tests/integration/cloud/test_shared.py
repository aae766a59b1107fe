"""Packages that companions share: pushed to one, served by all, and checked by each."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from collab_sdk import wire
from collab_sdk.errors import UnknownPackage
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from collabd.catalog.store.shared_directory import SharedDirectory
from collabd.catalog.store.shared_objects import SharedObjects


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    directory = tmp_path / "shared"
    directory.mkdir()
    return directory


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def question(package: Package, images: Any) -> wire.InferRequest:
    return wire.InferRequest([wire.Tensor.from_array("image", images[:1])], parameters={"digest": package.digest})


def of(directory: Path, own: Path, **more: Any) -> dict[str, Any]:
    """The settings of a companion with a root of its own."""
    return {"models": {"roots": [str(own)], "shared": str(directory)} | more}


async def push(companion: Any, package: Package) -> int:
    status, _ = await companion.call("PUT", f"/collab/v1/packages/{package.digest}", data=bundle.pack(package))
    return int(status)


async def test_what_is_pushed_to_one_companion_is_served_by_another(
    start: Any, package: Package, local: Any, images: Any, shared: Path, tmp_path: Path
) -> None:
    async with start(**of(shared, tmp_path / "one")) as one, start(**of(shared, tmp_path / "two")) as two:
        with pytest.raises(UnknownPackage):
            await two.infer("branchy", question(package, images))
        assert await push(one, package) == 201
        assert files(shared) == [f"{package.digest.replace(':', '-')}.tar"]
        for companion in (one, two):
            reply = await companion.infer("branchy", question(package, images))
            np.testing.assert_allclose(reply.outputs[0].to_array(), local.whole(images[:1]), rtol=1e-5, atol=1e-6)
        assert len(files(tmp_path / "two")) == 1
        # A device asks for the profile before it sends anything.
        assert (await two.call("GET", f"/collab/v1/profile/{package.digest}"))[0] in {200, 202}


async def test_a_package_that_was_there_before_is_shared_when_it_is_pushed_again(
    start: Any, package: Package, shared: Path, tmp_path: Path
) -> None:
    async with start(models={"roots": [str(tmp_path / "one")]}) as one:
        assert await push(one, package) == 201
    async with start(**of(shared, tmp_path / "one")) as one:
        assert files(shared) == []
        assert await push(one, package) == 201
        assert len(files(shared)) == 1


async def test_what_is_found_there_is_checked_and_tried_out(
    start: Any, package: Package, images: Any, shared: Path, tmp_path: Path
) -> None:
    path = shared / f"{package.digest.replace(':', '-')}.tar"
    async with start(**of(shared, tmp_path / "one")) as one:
        archive = bytearray(bundle.pack(package))
        archive[len(archive) // 2] ^= 1
        path.write_bytes(archive)
        with pytest.raises(UnknownPackage):
            await one.infer("branchy", question(package, images))
        # A device can push a sound one.
        assert not path.exists()
        assert await push(one, package) == 201
        assert path.read_bytes() == bundle.pack(package)


async def test_who_takes_no_packages_takes_none_from_there(
    start: Any, package: Package, images: Any, shared: Path, tmp_path: Path
) -> None:
    SharedDirectory(shared, 2**30).put(package)
    settings = of(shared, tmp_path / "one") | {"packages": {"accept": False}}
    async with start(**settings) as one:
        with pytest.raises(UnknownPackage):
            await one.infer("branchy", question(package, images))


async def test_a_directory_that_is_gone_keeps_nobody_from_working(
    start: Any, package: Package, images: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(**of(tmp_path / "gone", tmp_path / "one")) as one:
        assert "is no directory that this daemon can write" in caplog.text
        assert await push(one, package) == 201
        assert (await one.infer("branchy", question(package, images))).parameters["digest"] == package.digest
    assert "is not shared with other companions" in caplog.text


def test_the_least_recently_used_package_goes(package: Package, shared: Path) -> None:
    nbytes = len(bundle.pack(package))
    packages = SharedDirectory(shared, 2 * nbytes)
    for name, used in (("sha256-" + "1" * 64, 20), ("sha256-" + "2" * 64, 10), (".new-dead", 5)):
        (shared / f"{name}{'' if name.startswith('.') else '.tar'}").write_bytes(bytes(nbytes // 2 + 1))
        os.utime(shared / f"{name}{'' if name.startswith('.') else '.tar'}", (used, used))
    packages.put(package)
    assert files(shared) == sorted([f"sha256-{'1' * 64}.tar", f"{package.digest.replace(':', '-')}.tar"])
    assert packages.get("sha256:" + "1" * 64, 10) is None  # too large
    assert packages.get("sha256:" + "2" * 64, 2**30) is None
    assert packages.get(package.digest, 2**30) == bundle.pack(package)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "sha256:", "", "sha256:" + "0" * 63 + "/"])
def test_what_is_no_digest_names_no_file(digest: str, shared: Path) -> None:
    (shared / "passwd.tar").write_bytes(b"secret")
    assert SharedDirectory(shared, 2**30).get(digest, 2**30) is None


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a bucket in an object store over HTTP, which boto3 finds as it finds any."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="packages")
    yield "packages"
    s3.close()
    server.stop()


async def test_an_object_store_serves_as_well(
    start: Any, package: Package, images: Any, bucket: str, tmp_path: Path
) -> None:
    settings = [{"models": {"roots": [str(tmp_path / each)], "shared": f"s3://{bucket}/of/us"}} for each in "ab"]
    async with start(**settings[0]) as one, start(**settings[1]) as two:
        with pytest.raises(UnknownPackage):
            await two.infer("branchy", question(package, images))
        assert await push(one, package) == 201
        assert await push(one, package) == 201
        for companion in (one, two):
            reply = await companion.infer("branchy", question(package, images))
            assert reply.parameters["digest"] == package.digest


def test_what_an_object_store_does_not_have(package: Package, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    packages = SharedObjects(bucket, "")
    packages.check()
    assert packages.get(package.digest, 2**30) is None
    assert packages.get("sha256:../x", 2**30) is None
    packages.put(package)
    assert packages.get(package.digest, 2**30) == bundle.pack(package)
    assert packages.get(package.digest, 10) is None
    packages.discard(package.digest)
    assert packages.get(package.digest, 2**30) is None
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_object_store_that_fails_is_logged(package: Package, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    packages = SharedObjects(f"no-such-{bucket}", "")
    packages.check()
    packages.put(package)
    assert packages.get(package.digest, 2**30) is None
    packages.discard(package.digest)
    for said in ("packages are not shared", "is not shared with", "cannot be had from", "cannot be deleted"):
        assert said in caplog.text
