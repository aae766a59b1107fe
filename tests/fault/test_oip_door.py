"""Triton's client calls through a door while the companion is killed and started again: no error, the same answers."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from collab_sdk import AsyncClient, Client
from collabd.simulation.testbed import Testbed, free_port
from tests.slowed import slowed_collabd

MODELS = Path(__file__).parents[2] / "models"
MODEL = "efficientnet_lite0"
PHOTOS = sorted((MODELS / "samples/photos").glob("*.jpg"))[:4]
CALLS = 150
# Kills of the companion that calls have to live through.
KILLS = 2
# Seconds that a client waits for one answer; a call that hangs ends the test.
_PATIENCE_S = 120.0


async def _ready(bed: Testbed) -> None:
    async with AsyncClient(bed.socket) as client:
        await bed.until_ready(client)


def _expected(bed: Testbed) -> dict[Path, str]:
    with Client(bed.socket) as client:
        return {photo: client.infer(photo, "100%", model=MODEL, fallback="never-leave").label for photo in PHOTOS}


def _labels(client: Any, photos: list[Path]) -> list[str]:
    """The labels of pictures that are sent in one request."""
    tensor = triton.InferInput("image", [len(photos)], "BYTES")
    tensor.set_data_from_numpy(np.array([photo.read_bytes() for photo in photos], object))
    best = [triton.InferRequestedOutput("scores", class_count=1)]
    # Nothing may be lost on the way, so that the answer is the same wherever it is computed.
    reply = client.infer(MODEL, [tensor], outputs=best, parameters={"budget": "20s,100%"})
    return [text.decode().split(":", 2)[2] for text in reply.as_numpy("scores").reshape(-1)]


def _storm(bed: Testbed, ended: threading.Event, kills: list[int]) -> None:
    """Kill the companion again and again; it is up when this returns."""
    while not ended.wait(2.0):
        bed.kill_cloud()
        kills.append(1)
        ended.wait(0.5)
        bed.start_cloud()


def _calls(url: str, expected: dict[Path, str], kills: list[int]) -> list[Any]:
    wrong: list[Any] = []
    with triton.InferenceServerClient(url, network_timeout=_PATIENCE_S, connection_timeout=_PATIENCE_S) as client:
        done = 0
        while done < CALLS or len(kills) < KILLS:
            photos = [PHOTOS[done % len(PHOTOS)]] if done % 10 else PHOTOS
            found = _labels(client, photos)
            if found != [expected[photo] for photo in photos]:
                wrong.append((done, found))
            done += 1
    return wrong


@pytest.mark.slow
@pytest.mark.alone
async def test_no_call_fails_and_no_answer_changes() -> None:
    port = free_port()
    # Not pytest's own folder: a Unix socket's path is short.
    with tempfile.TemporaryDirectory(prefix="oip-") as name:
        packages = Path(name) / "packages"
        shutil.copytree(MODELS / MODEL / "package", packages / MODEL)
        bed = Testbed(
            packages,
            Path(name),
            device=slowed_collabd(4.0),
            settings=f'[failover]\nbreaker_open_s = 0.5\n[[doors]]\nkind = "oip"\nlisten = "127.0.0.1:{port}"\n',
        )
        ended, kills = threading.Event(), list[int]()
        async with bed.relay():
            with bed:
                await _ready(bed)
                expected = await asyncio.to_thread(_expected, bed)
                storm = asyncio.create_task(asyncio.to_thread(_storm, bed, ended, kills))
                try:
                    wrong = await asyncio.to_thread(_calls, f"127.0.0.1:{port}", expected, kills)
                finally:
                    ended.set()
                    await storm
                with Client(bed.socket) as client:
                    requests = client.status()["requests"]
                    (door,) = client.doors()
    assert wrong == []
    assert door["failed"] == 0
    assert door["calls"] >= CALLS
    assert requests["remote"] > 0
