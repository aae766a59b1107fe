"""A companion that is told to stop behind a balancer: first it is not ready, then it still answers, then it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp

from collab_sdk import wire
from tests.patience import PATIENCE_S


async def asked(http: aiohttp.ClientSession, address: str, message: wire.Message) -> tuple[int, str | None]:
    """The status of the reply to an inference request, and what becomes of its connection."""
    url = f"{address}/v2/models/branchy/infer"
    async with http.post(url, data=message.body(), headers=message.headers) as reply:
        await reply.read()
        return reply.status, reply.headers.get("Connection")


async def test_it_is_first_not_ready_and_still_answers(start: Any, package: Any, images: Any) -> None:
    message = wire.encode_request(wire.InferRequest([wire.Tensor.from_array("image", images[:1])]))
    async with start(package.path.parent, server={"drain_s": 0.5}) as companion, aiohttp.ClientSession() as http:
        assert (await companion.call("GET", "/v2/health/ready"))[0] == 200
        assert await asked(http, companion.address, message) == (200, None)
        parting = asyncio.create_task(companion.cloud.part())
        await asyncio.sleep(0)
        assert (await companion.call("GET", "/v2/health/ready"))[0] == 503
        assert (await companion.call("GET", "/v2/models/branchy/ready"))[0] == 503
        assert (await companion.call("GET", "/v2/health/live"))[0] == 200
        # Each reply ends its connection, also on one that was open before.
        assert await asked(http, companion.address, message) == (200, "close")
        assert await asked(http, companion.address, message) == (200, "close")
        await parting


async def test_without_drain_s_it_parts_at_once(start: Any, package: Any) -> None:
    async with start(package.path.parent) as companion:
        await companion.cloud.part()
        assert (await companion.call("GET", "/v2/health/ready"))[0] == 200


async def test_the_daemon_parts_at_sigterm(tmp_path: Path, package: Any) -> None:
    """systemd is told how long that takes."""
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'state_dir = "{tmp_path}"\n[server]\nport = 0\ndrain_s = 0.2\n'
        f'[models]\nroots = ["{tmp_path}/own", "{package.path.parent}"]\n'
    )
    command = [sys.executable, "-m", "collabd.cloud", "--config", str(config)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(PATIENCE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        daemon = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            await told(notify, b"READY=1")
            daemon.send_signal(signal.SIGTERM)
            await told(notify, b"EXTEND_TIMEOUT_USEC=24200000")
            await told(notify, b"STOPPING=1")
            assert await daemon.wait() == 0
        finally:
            if daemon.returncode is None:
                daemon.kill()
                await daemon.wait()


async def told(notify: socket.socket, wanted: bytes) -> None:
    """Wait until the service manager is told this."""
    while wanted not in (await asyncio.to_thread(notify.recv, 1000)).split(b"\n"):
        pass
