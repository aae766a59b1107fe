"""The daemon as a whole: batching under load, profiles, probes, figures, and going down."""

import asyncio
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import InvalidPackage, Overloaded, UnknownPackage
from collab_sdk.reports import CloudStatusReport
from collabd.codec import encode
from collabd.profiling.profile import Profile
from tests.patience import PATIENCE_S, PROGRAM_S


def held_up(companion: Any) -> threading.Event:
    """Occupy the lanes until the event is set, as a long run would."""
    release = threading.Event()
    for worker in companion.cloud.lanes.workers:
        worker.submit(release.wait, PATIENCE_S)
    return release


def request(image: Any, **parameters: Any) -> wire.InferRequest:
    return wire.InferRequest([wire.Tensor.from_array("image", image)], parameters=parameters)


async def queued(companion: Any, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while companion.cloud.places.waiting != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def begun(companion: Any, count: int) -> None:
    """Wait until this many requests have a lane."""
    async with asyncio.timeout(PATIENCE_S):
        while companion.cloud.places.taken - companion.cloud.places.waiting != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def figures(companion: Any) -> dict[str, float]:
    _, text = await companion.call("GET", "/metrics")
    lines = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


async def decoded(companion: Any, count: int) -> None:
    """Wait until this many requests wait only for the engine."""
    async with asyncio.timeout(PATIENCE_S):
        while len(companion.cloud.batcher._waiting) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_concurrent_requests_run_together_and_each_gets_its_own_answer(
    companion: Any, local: Any, images: Any
) -> None:
    release = held_up(companion)
    first = asyncio.create_task(companion.infer("branchy", request(images[:1])))
    await begun(companion, 1)
    others = [asyncio.create_task(companion.infer("branchy", request(images[i : i + 1]))) for i in range(1, 6)]
    await decoded(companion, 5)
    before = companion.cloud.engine.stats
    release.set()
    answers = await asyncio.gather(first, *others)
    assert [answer.parameters["batch"] for answer in answers] == [1, 5, 5, 5, 5, 5]
    assert all(answer.parameters["queue_ms"] > 0 for answer in answers)
    for i, answer in enumerate(answers):
        np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[i : i + 1]), rtol=1e-4, atol=1e-5)
    assert companion.cloud.engine.stats.builds == before.builds
    counted = await figures(companion)
    assert counted["collab_cloud_batch_size_count"] == 2
    assert counted["collab_cloud_batch_size_sum"] == 6


async def test_a_full_queue_refuses_politely(start: Any, package: Any, images: Any) -> None:
    async with start(package.path.parent, batching={"queue": 2}) as companion:
        release = held_up(companion)
        tasks = [asyncio.create_task(companion.infer("branchy", request(images[:1])))]
        await begun(companion, 1)
        tasks += [asyncio.create_task(companion.infer("branchy", request(images[:1]))) for _ in range(2)]
        await queued(companion, 2)
        message = wire.encode_request(request(images[:1]))
        url = f"{companion.address}/v2/models/branchy/infer"
        async with companion.http.post(url, data=message.body(), headers=message.headers) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
            assert isinstance(wire.decode_error(reply.status, await reply.read()), Overloaded)
        release.set()
        assert len(await asyncio.gather(*tasks)) == 3
        counted = await figures(companion)
        assert counted["collab_cloud_turned_away_total"] == 1
        assert (companion.cloud.counters.arrived, companion.cloud.counters.refused) == (4, 1)
        assert counted['collab_cloud_requests_total{model="branchy",outcome="ok"}'] == 3


async def test_a_device_that_hangs_up_leaves_the_queue(companion: Any, images: Any) -> None:
    release = held_up(companion)
    first = asyncio.create_task(companion.infer("branchy", request(images[:1])))
    await begun(companion, 1)
    gone = asyncio.create_task(companion.infer("branchy", request(images[:1])))
    await queued(companion, 1)
    gone.cancel()
    await queued(companion, 0)
    release.set()
    await first
    counted = await figures(companion)
    assert counted["collab_cloud_batch_size_sum"] == 1
    assert counted['collab_cloud_requests_total{model="branchy",outcome="cancelled"}'] == 1


async def test_profiles_are_measured_once_between_requests_and_kept(
    start: Any, package: Any, local: Any, images: Any
) -> None:
    path = f"/collab/v1/profile/{package.digest}"
    async with start(package.path.parent) as companion:
        release = held_up(companion)
        status, body = await companion.call("GET", path)
        assert (status, msgspec.json.decode(body)) == (202, {"state": "measuring"})
        release.set()
        await companion.infer("branchy", request(images[:1]))
        async with asyncio.timeout(PATIENCE_S):
            while status == 202:
                status, body = await companion.call("GET", path)
        profile = msgspec.json.decode(body, type=Profile)
        assert status == 200
        assert profile.digest == package.digest
        assert profile.threads == 1
        assert [cut.cut for cut in profile.cuts] == [cut.name for cut in package.manifest.cuts]
        assert profile.whole_ms > 0
    async with start(package.path.parent) as companion:
        assert await companion.call("GET", path) == (200, body)
        unknown = await companion.call("GET", "/collab/v1/profile/sha256:none")
        assert isinstance(wire.decode_error(*unknown), UnknownPackage)


async def test_a_daemon_stops_in_the_middle_of_measuring(start: Any, package: Any) -> None:
    async with start(package.path.parent) as companion:
        release = held_up(companion)
        assert (await companion.call("GET", f"/collab/v1/profile/{package.digest}"))[0] == 202
        release.set()


async def test_a_package_that_cannot_be_measured_is_told_and_logged_once(
    companion: Any, package: Any, caplog: pytest.LogCaptureFixture
) -> None:
    companion.cloud.lanes.shutdown()
    for _ in range(3):
        reply = await companion.call("GET", f"/collab/v1/profile/{package.digest}")
        error = wire.decode_error(*reply)
        assert isinstance(error, InvalidPackage)
        assert "branchy cannot be measured" in str(error)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


async def test_damaged_requests_never_fail_the_daemon(
    companion: Any, local: Any, images: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(1)
    features = encode(local.features(images[:1], ("pool1",))["pool1"], "q8", 1)
    tensor = wire.Tensor("pool1", "FP32", (1, 8, 8, 8), data=features.payload, parameters=features.parameters)
    message = wire.encode_request(wire.InferRequest([tensor], parameters={"digest": local.package.digest}))
    url = f"{companion.address}/v2/models/branchy/infer"
    seen = set()
    for _ in range(300):
        body = bytearray(message.body())
        for at in rng.integers(0, len(body), rng.integers(1, 4)):
            body[at] = rng.integers(0, 256)
        del body[len(body) - rng.integers(0, 2) * rng.integers(0, len(body)) :]
        async with companion.http.post(url, data=bytes(body), headers=message.headers) as reply:
            seen.add(reply.status)
    assert seen <= {200, 400, 404, 413}
    assert 400 in seen
    assert not caplog.records


@pytest.mark.parametrize("size", [0, 16_000, 1 << 20])
async def test_a_probe_of_the_link_is_read_and_counted(companion: Any, size: int) -> None:
    status, body = await companion.call("POST", "/collab/v1/ping", data=bytes(size))
    answer = msgspec.json.decode(body)
    assert (status, answer["bytes"]) == (200, size)
    assert 0 <= answer["load"] <= 1
    assert answer["slowdown"] >= 1
    # One device alone is welcome at once.
    assert 0 < answer["again_s"] <= 0.02


@pytest.mark.parametrize("path", ["/collab/v1/ping", "/v2/models/branchy/infer"])
async def test_a_reply_says_how_long_the_request_took_to_come(companion: Any, images: Any, path: str) -> None:
    message = wire.encode_request(request(images[:1]))
    body = message.body()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:100]
        await asyncio.sleep(0.05)
        yield body[100:]

    # It says that it reads before the first byte is sent, however busy this machine is.
    async with companion.http.post(
        companion.address + path, data=slowly(), headers=message.headers, expect100=True
    ) as reply:
        assert reply.status == 200
        assert float(reply.headers[wire.RECEIVE_MS]) >= 45


async def test_a_probe_is_small(companion: Any) -> None:
    assert (await companion.call("POST", "/collab/v1/ping", data=bytes((1 << 20) + 1)))[0] == 413


async def test_status_tells_what_is_held_and_done(companion: Any, package: Any, images: Any) -> None:
    await companion.infer("branchy", request(images[:1]))
    _, body = await companion.call("GET", "/collab/v1/status")
    status: CloudStatusReport = msgspec.json.decode(body)
    assert status["ready"] is True
    assert status["answers"]["total"] == 1
    assert status["answers"]["last_ms"] is not None
    assert (status["packages"][0]["name"], status["packages"][0]["digest"]) == ("branchy", package.digest)
    assert status["engine"]["sessions"] >= 1
    assert status["queue"] == 0
    assert status["load"] is not None
    assert 0 <= status["load"] <= 1


async def test_metrics_count_bytes_and_packages(companion: Any, images: Any) -> None:
    await companion.infer("branchy", request(images[:2]))
    counted = await figures(companion)
    assert counted["collab_cloud_received_bytes_total"] == images[:2].nbytes
    assert counted["collab_cloud_packages"] == 1
    assert counted["collab_cloud_compute_seconds_count"] == 1
    assert counted["process_resident_memory_bytes"] > 0


async def test_what_runs_at_shutdown_is_answered(start: Any, package: Any, images: Any) -> None:
    async with aiohttp.ClientSession() as http:
        async with start(package.path.parent) as companion:
            release = held_up(companion)
            message = wire.encode_request(request(images[:1]))
            url = f"{companion.address}/v2/models/branchy/infer"
            running = asyncio.create_task(http.post(url, data=message.body(), headers=message.headers))
            await begun(companion, 1)
            asyncio.get_running_loop().call_later(0.3, release.set)
        reply = await running
        assert (reply.status, len(await reply.read()) > 0) == (200, True)


def _environment(notify: Path) -> dict[str, str]:
    return os.environ | {"NOTIFY_SOCKET": str(notify)}


async def _until_told(notify: socket.socket, wanted: bytes) -> None:
    while wanted not in (await asyncio.to_thread(notify.recv, 1000)).split(b"\n"):
        pass


async def test_as_a_process_it_says_ready_serves_and_stops_on_sigterm(tmp_path: Path, package: Any) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'state_dir = "{tmp_path}"\n[server]\nport = 0\n[models]\nroots = ["{tmp_path}/own", "{package.path.parent}"]\n'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(PATIENCE_S)
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "collabd.cloud", "--config", str(config)),
            env=_environment(tmp_path / "notify"),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await _until_told(notify, b"READY=1")
            assert daemon.stderr is not None
            async with asyncio.timeout(PATIENCE_S):
                line = b""
                while b"listening" not in line:
                    line = await daemon.stderr.readline()
            found = re.search(r"(http://\S+) with branchy", line.decode())
            assert found
            async with aiohttp.ClientSession() as http, http.get(f"{found[1]}/v2/health/ready") as reply:
                assert reply.status == 200
            daemon.send_signal(signal.SIGTERM)
            await _until_told(notify, b"STOPPING=1")
            assert await asyncio.wait_for(daemon.wait(), PATIENCE_S) == 0
        finally:
            if daemon.returncode is None:
                daemon.kill()
                await daemon.wait()


async def run(*arguments: str) -> tuple[int | None, str]:
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collabd.cloud", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(daemon.communicate(), PROGRAM_S)
    return daemon.returncode, errors.decode()


async def test_a_bad_configuration_is_told_and_exits_78(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text("[server]\nprot = 1\n[batching]\nmax = 0\n")
    code, errors = await run("--config", str(config))
    assert code == 78
    assert "server.prot" in errors
    assert "batching.max" in errors


async def test_a_taken_port_is_told(companion: Any, tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'state_dir = "{tmp_path}"\n[server]\nport = {companion.address.rsplit(":", 1)[1]}\n'
        f'[models]\nroots = ["{tmp_path}/own"]\n'
    )
    code, errors = await run("--config", str(config))
    assert code == 1
    assert "cannot start" in errors
    assert "the step that failed: listen" in errors
    assert "Traceback" not in errors
