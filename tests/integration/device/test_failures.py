"""The companion fails in every way: the answer still comes, is right, and says what happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from collab_sdk import CompanionUnavailable, wire
from collabd.device.compute import Lane
from collabd.engine import Stopped
from tests.integration.device.conftest import Bench, Factory, stored_profile, until_up

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def impostor(bench: Factory, answer: Handler, settings: str = "", prices: str = "") -> AsyncIterator[Bench]:
    """A device whose companion holds the package and a profile, and answers tails with `answer`."""
    profile: dict[str, object] = {}

    async def ping(request: web.Request) -> web.Response:
        return web.json_response({"bytes": len(await request.read()), "load": 0.1, "slowdown": 1.0})

    async def its_profile(_: web.Request) -> web.Response:
        return web.json_response(profile, status=200 if profile else 202)

    app = web.Application()
    app.add_routes(
        [
            web.post("/collab/v1/ping", ping),
            web.get("/collab/v1/profile/{digest}", its_profile),
            web.post("/v2/models/{name}/infer", answer),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with bench(settings, cloud=f"http://127.0.0.1:{runner.addresses[0][1]}", prices=prices) as it:
            path = await asyncio.to_thread(stored_profile, it.profiles)
            profile |= json.loads(path.read_bytes())
            await until_up(it)
            yield it
    finally:
        await runner.cleanup()


async def test_the_companion_dies_between_calls(bench: Factory) -> None:
    async with bench() as it:
        before = await it.client.infer(it.images[0], cut="image")
        await it.stop_cloud()
        after = [await it.client.infer(image, cut="image") for image in it.images[:4]]
        assert not before.degraded
        for image, result in zip(it.images, after, strict=False):
            np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)
            assert result.degraded
            assert result.ran == "D" * len(it.package.manifest.layers)
        assert "127.0.0.1" in after[0].why
        assert after[-1].why == "no companion is up"  # the breaker is open: nothing is tried any more
        cloud = (await it.client.status())["clouds"][0]
        assert (cloud["state"], cloud["breaker"]) == ("down", "open")


async def test_the_planner_leaves_a_companion_that_is_down(bench: Factory) -> None:
    async with bench("[emulation]\ndevice_slowdown = 200\n") as it:
        assert (await it.client.infer(it.images[0])).plan.cloud == "pc"
        await it.stop_cloud()
        results = [await it.client.infer(it.images[0]) for _ in range(4)]
        assert results[-1].plan.cut == "output"
        assert not results[-1].degraded


async def test_fallback_fail_raises(bench: Factory) -> None:
    async with bench() as it:
        await it.stop_cloud()
        with pytest.raises(CompanionUnavailable, match="fallback=fail"):
            await it.client.infer(it.images[0], cut="image", fallback="fail")


def reply(outputs: list[wire.Tensor], **parameters: object) -> web.Response:
    timings = {"queue_ms": 0.0, "decode_ms": 0.0, "compute_ms": 0.1, "batch": 1, "load": 0.1, "slowdown": 1.0}
    message = wire.encode_response(
        wire.InferResponse("tiny", "1", outputs, parameters=timings | parameters), binary=True
    )
    return web.Response(body=message.body(), headers=message.headers)


def logits(values: object) -> wire.Tensor:
    return wire.Tensor.from_array("logits", np.asarray(values))


NONSENSE: dict[str, Callable[[], web.Response]] = {
    "an HTML page": lambda: web.Response(text="<html>hello</html>", content_type="text/html"),
    "nothing": web.Response,
    "an internal error": lambda: web.Response(status=500, text="oops"),
    "not found": lambda: web.Response(status=404, text="{}"),
    "a redirect to itself": lambda: web.Response(status=307, headers={"Location": "/v2/models/tiny/infer"}),
    "NaN": lambda: reply([logits(np.array([[np.nan, 0, 0]], np.float32))]),
    "infinity": lambda: reply([logits(np.array([[np.inf, 0, 0]], np.float32))]),
    "too few scores": lambda: reply([logits(np.array([[0, 1]], np.float32))]),
    "a batch of two": lambda: reply([logits(np.zeros((2, 3), np.float32))]),
    "doubles": lambda: reply([logits(np.zeros((1, 3), np.float64))]),
    "another tensor": lambda: reply([wire.Tensor.from_array("lotigs", np.zeros((1, 3), np.float32))]),
    "no tensor": lambda: reply([]),
    "no timings": lambda: reply([logits(np.zeros((1, 3), np.float32))], queue_ms="soon"),
    "a broken length": lambda: web.Response(body=b"{}", headers={wire.HEADER_LENGTH: "77"}),
}


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_is_never_an_answer(bench: Factory, kind: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return NONSENSE[kind]()

    async with impostor(bench, answer) as it:
        result = await it.client.infer(it.images[0], cut="image")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert result.degraded
        assert result.why


async def test_a_companion_that_hangs_is_overtaken_in_time(bench: Factory) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(30)
        raise AssertionError("the device should have hung up")

    async with impostor(bench, answer, prices="price_per_request = 0.5") as it:
        result = await it.client.infer(it.images[0], "400ms", cut="image")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert result.degraded
        assert "did not answer within" in result.why
        assert result.measured.local_tail_ms is not None
        # The companion has it all, and may charge for it.
        assert result.bytes_up > 50
        assert result.bytes_down == 0
        assert result.cost == pytest.approx(0.5)


async def test_a_late_companion_may_still_win(bench: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is over and the slow device has started the tail itself; then the answer comes, and is first.

    The tail that it overtook is not run to its end.
    """
    ended: list[str] = []
    timed = Lane._timed

    def observed(lane: Lane, *work: Any) -> Any:
        try:
            result = timed(lane, *work)
        except Stopped:
            ended.append("stopped")
            raise
        ended.append("finished")
        return result

    monkeypatch.setattr(Lane, "_timed", observed)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(0.03)
        return reply([logits(np.array([[0, 9, 0]], np.float32))])

    # The tail takes at least 50 ms here: no run of this network is done in 50 µs.
    slow = "[emulation]\ndevice_slowdown = 1000\n[failover]\nhedge_price = 0\n"
    async with impostor(bench, answer, slow) as it:
        # The planner's own choice, since the caller's is left its time; all but that image is sent so.
        result = await it.client.infer(it.images[0], codec="u8")
        assert result.ran == "C" * len(it.package.manifest.layers)
        assert result.label == it.package.manifest.labels[1]
        assert not result.degraded
        await it.client.infer(it.images[0], fallback="never-leave")
        # Image and codec of the one call, its tail; image and network of the other.
        assert ended == ["finished", "finished", "stopped", "finished", "finished"]
