"""Two devices with keys. One asks for much, and the other still gets its share. The tests check order, never time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import UnknownPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from collabd.catalog.store.store import Store
from collabd.cloud.models.loaded import CloudModels
from collabd.config import PackageSettings
from collabd.engine import Engine
from collabd.keys.tokens import line, new_token
from tests.integration.cloud.conftest import Companion
from tests.integration.cloud.test_service import held_up
from tests.patience import PATIENCE_S, comes_true

KEYS = {"a": new_token(), "b": new_token()}
Start = Callable[..., Any]


class Trials:
    """Trials that find no fault and last until the test lets them end. Other tests check what a trial finds."""

    def __init__(self) -> None:
        self.began = 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self, _: Path) -> None:
        self.began += 1
        assert self.free.wait(PATIENCE_S)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Counted from here, and without end until `free` is set."""
        self.began = 0
        self.free.clear()
        try:
            yield
        finally:
            self.free.set()


@pytest.fixture
def trials() -> Trials:
    return Trials()


@pytest.fixture
def guarded(start: Start, trials: Trials, tmp_path: Path) -> Start:
    """Start a companion that takes the two keys, with no package of its own."""
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(line(device, token) for device, token in KEYS.items()))
    tokens.chmod(0o400)
    return lambda **sections: start(try_out=trials, server={"token_file": str(tokens)}, **sections)


@pytest.fixture
async def companion(guarded: Start) -> AsyncIterator[Companion]:
    async with guarded() as companion:
        yield companion


@pytest.fixture
def made(package: Package, tmp_path: Path) -> Callable[[str], Package]:
    """The network as a package of another name."""

    def make(name: str) -> Package:
        manifest = msgspec.structs.replace(package.manifest, name=name)
        model = (package.path / packages.MODEL).read_bytes()
        return packages.write(tmp_path / "made" / name, manifest, model=model, licence="CC0-1.0")

    return make


async def ask(companion: Companion, device: str, method: str, path: str, data: bytes | None = None) -> int:
    """Raises the error that the companion answered with."""
    headers = {"Authorization": f"Bearer {KEYS[device]}"}
    async with companion.http.request(method, companion.address + path, data=data, headers=headers) as reply:
        if reply.status >= 300:
            raise wire.decode_error(reply.status, await reply.read())
        return reply.status


async def push(companion: Companion, device: str, package: Package) -> int:
    return await ask(companion, device, "PUT", f"/collab/v1/packages/{package.digest}", bundle.pack(package))


def pushing(companion: Companion, device: str, package: Package) -> asyncio.Task[int]:
    return asyncio.create_task(push(companion, device, package))


async def profile(companion: Companion, device: str, digest: str) -> int:
    return await ask(companion, device, "GET", f"/collab/v1/profile/{digest}")


async def infer(companion: Companion, device: str, package: Package) -> None:
    image = wire.Tensor.from_array("image", np.zeros((1, 16, 16, 3), np.uint8))
    request = wire.InferRequest([image], parameters={"digest": package.digest})
    await companion.cloud.dispatcher.infer(package.manifest.name, request, peer=device)


async def test_a_trial_keeps_nobody_waiting(
    companion: Companion, made: Callable[[str], Package], trials: Trials
) -> None:
    await push(companion, "b", mine := made("mine"))
    with trials.held_up():
        first, second = pushing(companion, "a", made("a0")), pushing(companion, "a", made("a1"))
        await comes_true(lambda: trials.began == 1)
        for digest in (made("a0").digest, "sha256:" + "0" * 64):
            with pytest.raises(UnknownPackage):
                await profile(companion, "b", digest)
        await infer(companion, "b", mine)
        await profile(companion, "b", mine.digest)
        third = pushing(companion, "b", made("b0"))
        await comes_true(lambda: trials.began == 2)
        # One at a time of each device.
        assert not any(task.done() for task in (first, second, third))
        trials.free.set()
        assert {*await asyncio.gather(first, second, third)} == {201}
        assert trials.began == 3


async def test_what_is_not_loaded_is_loaded_while_another_is_tried_out(
    guarded: Start, made: Callable[[str], Package], trials: Trials
) -> None:
    async with guarded() as companion:
        await push(companion, "b", mine := made("mine"))
    async with guarded(packages={"loaded_mb": 1}) as companion:
        companion.cloud.models._unload(mine.digest)
        with trials.held_up():
            trying = pushing(companion, "a", made("a0"))
            await comes_true(lambda: trials.began == 1)
            await infer(companion, "b", mine)
            assert not trying.done()
            trials.free.set()
            await trying


async def test_a_device_has_one_package_loaded_at_a_time_also_after_it_hung_up(
    made: Callable[[str], Package], trials: Trials, tmp_path: Path
) -> None:
    asked = {name: made(name) for name in ("a0", "a1", "b0")}
    store = Store([tmp_path / "store"], try_out=trials)
    for package in asked.values():
        store.receive(bundle.pack(package), digest=package.digest, max_bytes=2**20)
    began: list[str] = []
    free = threading.Event()

    class SlowEngine(Engine):
        def prepare(
            self, key: str, inputs: Sequence[str], outputs: Sequence[str], *, threads: int | None = None
        ) -> None:
            began.append(next(name for name, package in asked.items() if key.startswith(package.digest)))
            assert free.wait(PATIENCE_S)
            super().prepare(key, inputs, outputs, threads=threads)

    models = CloudModels(store, SlowEngine(threads=1, cache_bytes=2**24), PackageSettings)
    calls = {}
    for name, package in asked.items():
        calls[name] = asyncio.create_task(models.by_digest(package.digest, name[0]))
        await comes_true(lambda: "a0" in began)
    calls["a0"].cancel()
    await comes_true(lambda: "b0" in began)
    assert began == ["a0", "b0"]
    free.set()
    await asyncio.gather(calls["a1"], calls["b0"])
    assert {model.manifest.name for model in models.loaded} == {"a0", "a1", "b0"}


async def test_who_hangs_up_during_a_trial_gets_no_other_one(
    companion: Companion, made: Callable[[str], Package], trials: Trials
) -> None:
    with trials.held_up():
        gone = pushing(companion, "a", made("a0"))
        await comes_true(lambda: trials.began == 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        again, other = pushing(companion, "a", made("a1")), pushing(companion, "b", made("b0"))
        await comes_true(lambda: trials.began == 2)
        assert [companion.cloud.models.pushes.of(device) for device in "ab"] == [1, 1]
        trials.free.set()
        await asyncio.gather(again, other)
        assert {model.manifest.name for model in companion.cloud.models.loaded} == {"a0", "a1", "b0"}


async def test_a_push_that_does_not_come_keeps_no_other_device_waiting(
    companion: Companion, made: Callable[[str], Package]
) -> None:
    host, port = companion.address.removeprefix("http://").split(":")
    writers = []
    for number in range(6):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"PUT /collab/v1/packages/{made(f'a{number}').digest} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {KEYS['a']}\r\nContent-Length: 100000\r\n\r\nhalf".encode()
        )
        writers.append(writer)
    await comes_true(lambda: companion.cloud.models.pushes.of("a") == 1)
    for name in ("b0", "b1"):
        assert await push(companion, "b", made(name)) == 201
    assert companion.cloud.models.pushes.of("a") == 1
    for writer in writers:
        writer.close()


async def test_what_one_pushes_does_not_push_out_what_another_has(
    guarded: Start, made: Callable[[str], Package]
) -> None:
    settings = {"packages": {"max_packages": 4}}
    mine, shared = made("mine"), made("shared")
    async with guarded(**settings) as companion:
        await push(companion, "a", shared)
        await push(companion, "b", mine)
        await infer(companion, "b", shared)
        for number in range(4):
            await push(companion, "a", made(f"a{number}"))
        for package in (mine, shared):
            await infer(companion, "b", package)
    # Whose they are is remembered.
    async with guarded(**settings) as companion:
        for number in range(4, 8):
            await push(companion, "a", made(f"a{number}"))
        for package in (mine, shared):
            await infer(companion, "b", package)


async def test_profiles_are_measured_one_piece_at_a_time_and_devices_take_turns(
    companion: Companion, made: Callable[[str], Package], caplog: pytest.LogCaptureFixture
) -> None:
    asked = [made(name) for name in ("a0", "a1", "both")]
    for package in asked:
        await push(companion, "a", package)
    caplog.clear()
    with caplog.at_level(logging.INFO, "collabd.cloud.models.profiles"):
        release = held_up(companion)
        for package in asked:
            assert await profile(companion, "a", package.digest) == 202
        assert await profile(companion, "b", asked[-1].digest) == 202
        assert companion.cloud.lanes.workers[0].waiting == 1
        release.set()
        for package in asked:
            while await profile(companion, "a", package.digest) == 202:  # it answers when it is measured, or in a while
                pass
    told = [record.message.split(":")[0] for record in caplog.records]
    of_a = [text for text in told if "both" not in text]
    assert of_a == [f"{state} a{number}" for number in range(2) for state in ("measuring", "measured")]
    # Behind the first of "a", not behind all of them; and once.
    assert told.index("measured both") < told.index("measured a1")
    assert told.count("measuring both") == 1
