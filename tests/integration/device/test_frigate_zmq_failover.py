"""Frigate's calls while the companion is killed and comes back: both daemons are processes of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collab_sdk import AsyncClient
from collabd.simulation.testbed import Testbed, free_port
from tests import task_networks
from tests.frigate_client import FrigateClient
from tests.slowed import slowed_collabd

CALLS = 90
KILLED, STARTED = {10, 40, 70}, {25, 55, 80}
# The network takes some 50 ms then, so that the companion is worth asking, on a busy machine too.
SLOWDOWN = 100.0


@pytest.mark.slow
async def test_frigate_notices_nothing_of_a_companion_that_comes_and_goes(tmp_path: Path) -> None:
    task_networks.package_of("detect", tmp_path / "packages/tiny")
    listen = f"127.0.0.1:{free_port()}"
    door = f'[[doors]]\nkind = "frigate-zmq"\nlisten = "{listen}"\nmin_confidence = 0.5\nbudget = "20s"\n'
    bed = Testbed(tmp_path / "packages", tmp_path, device=slowed_collabd(SLOWDOWN), settings=door)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(4)]
    async with bed.relay():
        with bed:
            async with (
                AsyncClient(bed.socket, timeout_s=60) as client,
                FrigateClient(f"tcp://{listen}", "yologeneric") as frigate,
            ):
                await bed.until_ready(client)
                own = [(await client.infer(each, fallback="never-leave")).detections for each in pictures]
                assert await frigate.start("tiny.onnx", b"")
                for turn in range(CALLS):
                    if turn in KILLED:
                        bed.kill_cloud()
                    if turn in STARTED:
                        bed.start_cloud()
                        await bed.until_cloud_is_up(client)
                    rows = await frigate.detect(pictures[turn % 4][np.newaxis])
                    found, expected = rows[rows[:, 1] > 0], own[turn % 4]
                    np.testing.assert_array_equal(found[:, 0], expected.class_id)
                    np.testing.assert_allclose(found[:, [3, 2, 5, 4]] * [48, 32, 48, 32], expected.xyxy, atol=1e-2)
                (report,) = await client.doors()
                ran = {decision["cloud"] for decision in (await client.explain(100))["decisions"]}
    assert (report["calls"], report["failed"]) == (CALLS, 0)
    assert ran == {None, "companion"}
