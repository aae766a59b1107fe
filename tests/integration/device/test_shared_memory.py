"""Frames through shared memory: the SDK's, and those of other clients of the protocol."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import tritonclient.http.aio as triton
from PIL import Image
from tritonclient.utils import InferenceServerException
from tritonclient.utils import shared_memory as triton_memory

from collab_sdk import Client
from collab_sdk._shared_memory import DIRECTORY, LEAST_BYTES
from collab_sdk._tensor import LENGTH_BYTES
from collabd.device.api.local_peers import LocalPeers
from collabd.device.api.shared_memory import MOST_REGIONS_EACH
from tests.integration.device.conftest import Bench, Factory
from tests.patience import PATIENCE_S
from tests.peers import carry, listening

# A peer with this host name counts as another user, because a test runs as only one user of the kernel.
_OTHER = "other"
TOLD_APART = LocalPeers(user_of=lambda head: head.headers.get("Host") == _OTHER)
FRAME = np.random.default_rng(7).integers(0, 255, (260, 260, 3), np.uint8)

Ask = Callable[..., Awaitable[tuple[int, Any]]]


@contextmanager
def shm_file(content: bytes) -> Iterator[Path]:
    path = DIRECTORY / f"collab-test-{secrets.token_hex(6)}"
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@asynccontextmanager
async def asking(it: Bench) -> AsyncIterator[Ask]:
    connector = aiohttp.UnixConnector(str(it.socket))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(method: str, path: str, *, host: str = "me", **content: Any) -> tuple[int, Any]:
            body = json.dumps(content) if content else None
            async with session.request(method, f"http://{host}/v2/{path}".rstrip("/"), data=body) as reply:
                return reply.status, await reply.json()

        yield ask


def register(ask: Ask, name: str, path: Path, *, size: int, **more: Any) -> Awaitable[tuple[int, Any]]:
    region = f"systemsharedmemory/region/{name}/register"
    return ask("POST", region, **({"key": f"/{path.name}", "byte_size": size} | more))


def infer(ask: Ask, image: np.ndarray, *, host: str = "me", **place: Any) -> Awaitable[tuple[int, Any]]:
    parameters = {f"shared_memory_{key}": value for key, value in place.items()}
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(image.shape), "parameters": parameters}
    return ask("POST", "models/tiny/infer", host=host, inputs=[tensor])


def left_over(pid: int | None = None) -> list[Path]:
    return [*DIRECTORY.glob(f"collab-{pid or os.getpid()}-*")]


async def until_none(ask: Ask) -> None:
    for _ in range(int(PATIENCE_S / 0.01)):
        if (await ask("GET", "systemsharedmemory/status"))[1] == []:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the region is still there")


async def test_a_region_is_read_at_its_offset(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        image = it.images[0]
        status, metadata = await ask("GET", "")
        assert (status, "system_shared_memory" in metadata["extensions"]) == (200, True)
        with shm_file(bytes(100) + image.tobytes() + bytes(50)) as path:
            assert await register(ask, "r", path, offset=60, size=image.nbytes + 60) == (200, {})
            assert await ask("GET", "systemsharedmemory/status") == (
                200,
                [{"name": "r", "key": f"/{path.name}", "offset": 60, "byte_size": image.nbytes + 60}],
            )
            path.unlink()
            status, answer = await infer(ask, image, region="r", offset=40, byte_size=image.nbytes)
        assert status == 200
        np.testing.assert_allclose(answer["outputs"][0]["data"], it.reference(image), atol=1e-4)
        assert await ask("POST", "systemsharedmemory/region/r/unregister") == (200, {})
        assert await ask("GET", "systemsharedmemory/status") == (200, [])
        status, refused = await infer(ask, image, region="r", byte_size=image.nbytes)
        assert (status, refused["code"]) == (404, "unknown_region")


async def test_a_large_array_of_the_sdk_does_not_cross_the_socket(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        through = await it.client.infer(FRAME)
        (region,) = (await ask("GET", "systemsharedmemory/status"))[1]
        assert region["byte_size"] == FRAME.nbytes >= LEAST_BYTES
        assert left_over() == []
        with Client(it.socket) as socket_only:
            socket_only._regions = None
            np.testing.assert_array_equal(through.scores, (await asyncio.to_thread(socket_only.infer, FRAME)).scores)
            # Used again for what is not larger, in whatever order the array lies in memory.
            turned = FRAME[::-1, :256]
            got = await it.client.infer(turned)
            np.testing.assert_array_equal(got.scores, (await asyncio.to_thread(socket_only.infer, turned)).scores)
        assert len((await ask("GET", "systemsharedmemory/status"))[1]) == 1
        # The daemon runs in this loop, which must not wait for it.
        await asyncio.to_thread(it.client.close)
        assert (await ask("GET", "systemsharedmemory/status"))[1] == []


async def test_a_large_file_does_neither(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        file = encoded(FRAME, "BMP")
        assert len(file) >= LEAST_BYTES
        np.testing.assert_array_equal((await it.client.infer(file)).scores, (await it.client.infer(FRAME)).scores)
        assert [region["byte_size"] for region in (await ask("GET", "systemsharedmemory/status"))[1]] == [
            len(file) + LENGTH_BYTES
        ]


def encoded(frame: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, kind)
    return file.getvalue()


async def test_calls_at_once_each_have_their_own_region(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        frames = [np.full((260, 260, 3), value, np.uint8) for value in range(0, 240, 10)]
        each = [(await it.client.infer(frame)).scores for frame in frames]
        for _ in range(3):
            together = await asyncio.gather(*map(it.client.infer, frames))
            for one, other in zip(each, together, strict=True):
                np.testing.assert_array_equal(one, other.scores)


async def test_what_is_no_region_of_ones_own_is_refused(bench: Factory) -> None:
    async with bench("[server]\nmax_request_mb = 1\n", cloud=False) as it, asking(it) as ask:
        with shm_file(bytes(100)) as path:
            link, pipe, folder = (path.with_name(path.name + end) for end in (".link", ".pipe", ".folder"))
            link.symlink_to(path)
            os.mkfifo(pipe)
            folder.mkdir()
            try:
                for key, says in {
                    link.name: "symbolic links",
                    pipe.name: "not a file in shared memory",
                    folder.name: "not a file in shared memory",
                    f"{folder.name}/../{path.name}": "not the name",
                    "..": "not the name",
                    "/../shm/x": "not the name",
                    "": "not the name",
                    "a\0b": "not the name",
                    "x" * 256: "not the name",
                    "\ud800": "malformed",
                    "ü" * 200: "name too long",
                    "there-is-none": "No such file",
                }.items():
                    status, refused = await register(ask, "r", path, size=1, key=key)
                    assert (status, refused["code"]) == (400, "invalid_request")
                    assert says in refused["error"]
            finally:
                link.unlink()
                pipe.unlink()
                folder.rmdir()
            for size, more in ((101, {}), (100, {"offset": 1}), (0, {}), (-1, {}), (1, {"offset": -1}), (10**30, {})):
                status, _ = await register(ask, "r", path, size=size, **more)
                assert status in {400, 413}
            status, refused = await register(ask, "r", path, size=2**20 + 1)
            assert (status, refused["code"]) == (413, "request_too_large")
            for broken in ({"byte_size": "1"}, {"byte_size": None}, {"key": 3}):
                status, refused = await register(ask, "r", path, size=1, **broken)
                assert (status, refused["code"]) == (400, "invalid_request")
            assert (await register(ask, "x" * 256, path, size=1))[0] == 400
            assert await ask("GET", "systemsharedmemory/status") == (200, [])
            assert (await ask("GET", "systemsharedmemory/region/r/status"))[0] == 404


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
async def test_another_users_file_is_refused(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        with shm_file(bytes(100)) as path:
            os.chown(path, 65533, -1)
            path.chmod(0o644)
            status, refused = await register(ask, "r", path, size=100)
    assert (status, refused["code"]) == (403, "permission_refused")
    assert "belongs to another user" in refused["error"]


async def test_another_users_region_is_not_there(bench: Factory) -> None:
    async with bench(cloud=False, peers=TOLD_APART) as it, asking(it) as ask:
        image = it.images[0]
        with shm_file(image.tobytes()) as path:
            assert (await register(ask, "r", path, size=image.nbytes))[0] == 200
        status, refused = await infer(ask, image, host=_OTHER, region="r", byte_size=image.nbytes)
        assert (status, refused["code"]) == (404, "unknown_region")
        assert await ask("GET", "systemsharedmemory/status", host=_OTHER) == (200, [])
        assert (await ask("GET", "systemsharedmemory/region/r/status", host=_OTHER))[0] == 404
        for which in ("region/r/unregister", "unregister"):
            assert (await ask("POST", f"systemsharedmemory/{which}", host=_OTHER))[0] == 200
        assert (await infer(ask, image, region="r", byte_size=image.nbytes))[0] == 200
        assert await ask("POST", "systemsharedmemory/unregister") == (200, {})
        assert await ask("GET", "systemsharedmemory/status") == (200, [])


async def test_a_place_outside_the_region_is_refused(bench: Factory) -> None:
    async with bench("[server]\nmax_request_mb = 1\n", cloud=False) as it, asking(it) as ask:
        image = it.images[0]
        with shm_file(bytes(2**20)) as path:
            assert (await register(ask, "r", path, size=2**20))[0] == 200
            assert (await register(ask, "r", path, size=2**20))[0] == 400
            for place in (
                {"byte_size": 2**20 + 1},
                {"offset": 2**20, "byte_size": image.nbytes},
                {"offset": 1, "byte_size": 2**63 - 1},
                {"offset": -1, "byte_size": image.nbytes},
                {"offset": 0.5, "byte_size": image.nbytes},
                {"byte_size": -1},
                {"byte_size": True},
                {"byte_size": "all"},
                {"byte_size": [1]},
                {"byte_size": image.nbytes - 1},
                {"byte_size": 0},
                {},
            ):
                status, refused = await infer(ask, image, region="r", **place)
                assert (status, refused["code"] in {"invalid_tensor", "invalid_request"}) == (400, True), place
            assert (await infer(ask, image, region=7, byte_size=image.nbytes))[0] == 400
            two = [
                {
                    "name": name,
                    "datatype": "UINT8",
                    "shape": [2**20],
                    "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 2**20},
                }
                for name in "ab"
            ]
            assert (await ask("POST", "models/tiny/infer", inputs=two))[0] == 413
            double = {**two[0], "data": [1]}
            assert (await ask("POST", "models/tiny/infer", inputs=[double]))[0] == 400


async def test_a_file_that_is_cut_short_harms_nobody(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        image = it.images[0]
        with shm_file(image.tobytes()) as path:
            assert (await register(ask, "r", path, size=image.nbytes))[0] == 200
            for left in (image.nbytes - 1, 0):
                os.truncate(path, left)
                status, refused = await infer(ask, image, region="r", byte_size=image.nbytes)
                assert (status, refused["code"]) == (400, "invalid_tensor")
                assert "ends before" in refused["error"]
            path.write_bytes(image.tobytes())
            assert (await infer(ask, image, region="r", byte_size=image.nbytes))[0] == 200


async def test_a_region_that_is_unregistered_while_it_is_read_is_read_to_its_end(bench: Factory) -> None:
    image = np.full((1400, 1400, 3), 90, np.uint8)  # read in a thread
    async with bench(cloud=False) as it, asking(it) as ask:
        with shm_file(image.tobytes()) as path:
            for _ in range(5):
                assert (await register(ask, "r", path, size=image.nbytes))[0] == 200
                call = asyncio.ensure_future(infer(ask, image, region="r", byte_size=image.nbytes))
                await asyncio.sleep(0.002)
                assert (await ask("POST", "systemsharedmemory/region/r/unregister"))[0] == 200
                assert (await call)[0] in {200, 404}


async def test_regions_have_a_most(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        with shm_file(bytes(10)) as path:
            for number in range(MOST_REGIONS_EACH):
                assert (await register(ask, str(number), path, size=10))[0] == 200
            status, refused = await register(ask, "one-more", path, size=10)
            assert (status, refused["code"]) == (400, "invalid_request")
            assert "unregister those that you do not use" in refused["error"]
        # The SDK is refused too, and sends its frames over the socket.
        assert (await it.client.infer(FRAME)).label
        assert left_over() == []


async def test_reading_at_once_is_bounded(bench: Factory) -> None:
    async with bench("[server]\nmax_request_mb = 1\nmax_inside_mb = 1\n", cloud=False) as it:
        frame, most = np.zeros((400, 400, 3), np.uint8), 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, it.daemon.door.snapshots.taken)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(it.client.infer(frame) for _ in range(8)))
        watching.cancel()
        assert frame.nbytes <= most <= 2**20


async def test_the_regions_of_a_dead_process_are_forgotten(bench: Factory) -> None:
    code = """
import os, sys, numpy
from collab_sdk import Client
client = Client(sys.argv[1])
assert client.infer(numpy.zeros((260, 260, 3), numpy.uint8)).label
print(os.getpid(), flush=True)
sys.stdin.read()
os._exit(1)
"""
    async with bench(cloud=False) as it, asking(it) as ask:
        caller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(it.socket), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert caller.stdin
        assert caller.stdout
        pid = int(await caller.stdout.readline())
        assert len((await ask("GET", "systemsharedmemory/status"))[1]) == 1
        assert left_over(pid) == []
        caller.stdin.close()
        await caller.wait()
        await until_none(ask)
        assert it.daemon.door.memory._processes == {}


async def test_a_daemon_that_forgot_the_region_is_told_again(bench: Factory) -> None:
    async with bench(cloud=False) as it, asking(it) as ask:
        for _ in range(2):
            assert (await it.client.infer(FRAME)).label
            assert len((await ask("GET", "systemsharedmemory/status"))[1]) == 1
            # As after a restart.
            await ask("POST", "systemsharedmemory/unregister")
            assert (await it.client.infer(FRAME)).label
            assert (await ask("GET", "systemsharedmemory/status"))[1] == []


@asynccontextmanager
async def over_tcp(it: Bench) -> AsyncIterator[str]:
    """An address that leads to the daemon's socket, for clients that know no Unix sockets."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(it.socket))
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async with listening(connected) as port:
        yield f"127.0.0.1:{port}"


async def test_tritonclient_shares_memory_too(bench: Factory) -> None:
    key = f"/collab-triton-{secrets.token_hex(6)}"
    async with bench(cloud=False) as it, over_tcp(it) as address, triton.InferenceServerClient(address) as client:
        image = it.images[0]
        handle = triton_memory.create_shared_memory_region("frames", key, image.nbytes)
        try:
            triton_memory.set_shared_memory_region(handle, [image])
            await client.register_system_shared_memory("frames", key, image.nbytes)
            (status,) = await client.get_system_shared_memory_status()
            assert (status["name"], status["key"], status["byte_size"]) == ("frames", key, image.nbytes)
            asked = triton.InferInput("image", list(image.shape), "UINT8")
            asked.set_shared_memory("frames", image.nbytes)
            answer = await client.infer("tiny", [asked])
            np.testing.assert_allclose(answer.as_numpy("scores")[0], it.reference(image), atol=1e-4)
            wanted = triton.InferRequestedOutput("scores")
            wanted.set_shared_memory("frames", 8)
            with pytest.raises(InferenceServerException, match="outputs come in the answer"):
                await client.infer("tiny", [asked], outputs=[wanted])
            await client.unregister_system_shared_memory("frames")
            with pytest.raises(InferenceServerException, match="register it"):
                await client.infer("tiny", [asked])
        finally:
            triton_memory.destroy_shared_memory_region(handle)
