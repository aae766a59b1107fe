"""A companion whose disk is full or cannot be written: it goes on answering, says so, and recovers by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import StorageUnavailable
from collab_sdk.reports import ConditionReport
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from tests.full_disk import fill, mounted, remount
from tests.patience import PATIENCE_S, PROGRAM_S


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def push(companion: Any, package: Package) -> None:
    status, body = await companion.call("PUT", f"/collab/v1/packages/{package.digest}", data=bundle.pack(package))
    if status >= 300:
        raise wire.decode_error(status, body)


async def answers(companion: Any, package: Package) -> bool:
    image = wire.Tensor.from_array("image", np.zeros((1, 16, 16, 3), np.uint8))
    reply = await companion.infer("branchy", wire.InferRequest([image], parameters={"digest": package.digest}))
    return bool(reply.parameters["digest"] == package.digest)


def other(package: Package, directory: Path) -> Package:
    from collabd.catalog.package import package as packages

    manifest = msgspec.structs.replace(package.manifest, provenance="another version")
    return packages.write(directory, manifest, model=(package.path / packages.MODEL).read_bytes(), licence="CC0-1.0")


async def profiled(companion: Any, package: Package) -> None:
    status = 202
    while status == 202:
        status, _ = await companion.call("GET", f"/collab/v1/profile/{package.digest}")
    assert status == 200


async def test_a_disk_without_room_is_told_of(start: Any, package: Package, tmp_path: Path) -> None:
    with mounted(tmp_path / "state"):
        async with start(package.path.parent) as companion:
            health: list[ConditionReport] = []
            deadline = time.monotonic() + PATIENCE_S
            while not health:
                assert time.monotonic() < deadline
                health = json.loads((await companion.call("GET", "/collab/v1/status"))[1])["health"]
            assert [(each["code"], each["severity"]) for each in health] == [("disk-full", "error")]
            assert health[0]["what"] == f"1 MB are free for {tmp_path}/state"
            _, metrics = await companion.call("GET", "/metrics")
            assert b'collab_cloud_health{about="",code="disk-full",severity="error"} 1.0' in metrics
            assert companion.cloud.status().startswith("disk-full: 1 MB are free for ")


async def test_a_full_disk_refuses_a_push_and_nothing_else(start: Any, package: Package, tmp_path: Path) -> None:
    pushed = other(package, tmp_path / "other")
    with mounted(tmp_path / "writable"):
        async with start(package.path.parent) as companion:
            ballast = fill(tmp_path / "writable")
            with pytest.raises(StorageUnavailable, match=r"No space left.*make room"):
                await push(companion, pushed)
            assert names(tmp_path / "writable") == ["ballast"]
            assert await answers(companion, package)
            ballast.unlink()
            await push(companion, pushed)
            assert await answers(companion, pushed)


async def test_a_disk_that_became_read_only_refuses_a_push_and_nothing_else(
    start: Any, package: Package, tmp_path: Path
) -> None:
    pushed = other(package, tmp_path / "other")
    with mounted(tmp_path / "writable"):
        async with start(package.path.parent) as companion:
            remount(tmp_path / "writable", "ro")
            with pytest.raises(StorageUnavailable, match="Read-only file system"):
                await push(companion, pushed)
            assert await answers(companion, package)
            remount(tmp_path / "writable", "rw")
            await push(companion, pushed)
        remount(tmp_path / "writable", "ro")
        async with start(package.path.parent) as companion:
            assert await answers(companion, pushed)


async def test_a_profile_that_cannot_be_kept_is_used_all_the_same(
    start: Any, package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mounted(tmp_path / "state"):
        ballast = fill(tmp_path / "state")
        async with start(package.path.parent) as companion:
            await profiled(companion, package)
            assert "over a restart: [Errno 28] No space left on device" in caplog.text
        assert names(tmp_path / "state/profiles") == []
        ballast.unlink()
        async with start(package.path.parent) as companion:
            await profiled(companion, package)
        assert len(names(tmp_path / "state/profiles")) == 1


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from collab_sdk.errors import StorageUnavailable
from collabd.catalog.store.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    Store([Path(sys.argv[1])]).install(Path(sys.argv[2]))
except StorageUnavailable as error:
    print(error)
"""


def test_a_limit_on_files_is_a_full_disk_too(package: Package, tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, root, package.path],
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_S,
    )
    assert "File too large" in done.stdout
    assert list(root.iterdir()) == []
