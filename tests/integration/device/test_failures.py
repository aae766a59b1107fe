"""The companion fails in every way: the answer still comes, is right, and says what happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import pytest
from aiohttp import web

from collab_sdk import CompanionUnavailable, InvalidRequest, Overloaded, wire
from collabd.device.companions.connection import Address, CompanionConnection
from collabd.device.companions.http_exchange import HttpExchange
from collabd.device.lane.lane import Piece, Timed
from collabd.device.run.compute import Compute, compute_on
from collabd.engine import Engine, Stop, Stopped
from tests.integration.device.conftest import Factory
from tests.integration.device.impostor import impostor, logits, reply
from tests.integration.device.test_infer import png
from tests.patience import PATIENCE_S
from tests.slowed import SLOWER_THAN_AN_EXCHANGE, SlowedThread, slowed

T = TypeVar("T")


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
        # The breaker is open: nothing is tried any more.
        assert after[-1].why.startswith("pc is down: pc at http://127.0.0.1")
        cloud = (await it.client.status())["clouds"][0]
        assert (cloud["state"], cloud["breaker"]) == ("down", "open")


async def test_the_planner_leaves_a_companion_that_is_down(bench: Factory) -> None:
    async with bench(**SLOWER_THAN_AN_EXCHANGE) as it:
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


async def test_a_defect_on_the_companions_side_loses_no_call(bench: Factory) -> None:
    """A defect that no part should have: no connection can be made, for a reason that nobody expects."""

    async def broken(_: Address) -> CompanionConnection:
        raise RuntimeError("a defect")

    async with bench() as it:
        (companion,) = it.daemon._plane.generation.companions
        assert isinstance(companion.exchange, HttpExchange)
        companion.exchange.leave()
        companion.exchange._connections._connect = broken
        result = await it.client.infer(it.images[0], cut="pool1")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert result.degraded
        assert "asking pc failed: RuntimeError('a defect')" in result.why
        with pytest.raises(CompanionUnavailable, match="asking pc failed"):
            await it.client.infer(it.images[0], cut="pool1", fallback="fail")


async def _plain(response: web.Response) -> web.Response:
    return response


SCORES = np.array([[0, 9, 0]], np.float32)
NONSENSE: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
    "an HTML page": lambda _: _plain(web.Response(text="<html>hello</html>", content_type="text/html")),
    "nothing": lambda _: _plain(web.Response()),
    "an internal error": lambda _: _plain(web.Response(status=500, text="oops")),
    "not found": lambda _: _plain(web.Response(status=404, text="{}")),
    "a redirect to itself": lambda _: _plain(
        web.Response(status=307, headers={"Location": "/v2/models/tiny/infer"}),
    ),
    "NaN": lambda request: reply(request, [logits(np.array([[np.nan, 0, 0]], np.float32))]),
    "infinity": lambda request: reply(request, [logits(np.array([[np.inf, 0, 0]], np.float32))]),
    "too few scores": lambda request: reply(request, [logits(np.array([[0, 1]], np.float32))]),
    "a batch of two": lambda request: reply(request, [logits(np.zeros((2, 3), np.float32))]),
    "doubles": lambda request: reply(request, [logits(np.zeros((1, 3), np.float64))]),
    "another tensor": lambda request: reply(request, [wire.Tensor.from_array("lotigs", SCORES)]),
    "no tensor": lambda request: reply(request, []),
    "no timings": lambda request: reply(request, [logits(SCORES)], queue_ms="soon"),
    "negative timings": lambda request: reply(request, [logits(SCORES)], queue_ms=-5.0),
    "a queue of ages": lambda request: reply(request, [logits(SCORES)], queue_ms=1e300),
    "a batch of none": lambda request: reply(request, [logits(SCORES)], batch=0),
    "a load below nothing": lambda request: reply(request, [logits(SCORES)], load=-1.0),
    "a companion faster than alone": lambda request: reply(request, [logits(SCORES)], slowdown=0.5),
    "another package's": lambda request: reply(request, [logits(SCORES)], digest="sha256:" + "0" * 64),
    "a broken length": lambda _: _plain(web.Response(body=b"{}", headers={wire.HEADER_LENGTH: "77"})),
    "too much": lambda request: reply(request, [logits(SCORES), logits_of_a_megabyte()]),
}


def logits_of_a_megabyte() -> wire.Tensor:
    return wire.Tensor.from_array("more", np.zeros(2**18, np.float32))


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_is_never_an_answer(bench: Factory, kind: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return await NONSENSE[kind](request)

    async with impostor(bench, answer, prices="price_per_request = 0.5") as it:
        result = await it.client.infer(it.images[0], cut="image")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert result.degraded
        assert result.why
        # It was sent the image, and may charge for what it did with that.
        assert result.bytes_up > 50
        assert result.cost == pytest.approx(0.5)


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


@dataclass
class Pieces:
    """Those on the lane: how many have begun, and how each ended. That with the index `endless` has to be stopped."""

    endless: int
    begun: int = 0
    ended: list[str] = field(default_factory=list)


class ObservedThread(SlowedThread):
    def __init__(self, factor: float, pieces: Pieces) -> None:
        super().__init__(factor)
        self._pieces = pieces

    async def run(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        @contextmanager
        def running() -> Iterator[None]:
            with piece.running:
                self._pieces.begun += 1
                try:
                    yield
                except Stopped:
                    self._pieces.ended.append("stopped")
                    raise
                self._pieces.ended.append("finished")

        return await super().run(replace(piece, running=running()), stop)

    def _slowly(self, work: Callable[[Stop], T], stop: Stop) -> T:
        value = super()._slowly(work, stop)
        if self._pieces.begun > self._pieces.endless == len(self._pieces.ended) and stop.wait(PATIENCE_S):
            raise Stopped("it would have gone on for ever")
        return value


def observed_thousandfold(pieces: Pieces) -> dict[str, Any]:
    return slowed(1000) | {"thread_of": partial(ObservedThread, 1000, pieces)}


def answers_when_the_tail_runs(pieces: Pieces) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        while pieces.begun <= pieces.endless:  # noqa: ASYNC110  it is another thread that begins it
            await asyncio.sleep(0.002)
        return await reply(request, [logits(SCORES)])

    return answer


async def test_a_late_companion_may_still_win(bench: Factory) -> None:
    """Waiting is over and the slow device has started the tail itself; then the answer comes, and is first.

    The tail that it overtook is not run to its end.
    """
    pieces = Pieces(endless=1)
    answer, device = answers_when_the_tail_runs(pieces), observed_thousandfold(pieces)
    async with impostor(bench, answer, "[failover]\nhedge_price = 0\n", **device) as it:
        # The planner's own choice, since the caller's is left its time; all but that image is sent so.
        result = await it.client.infer(it.images[0], codec="u8")
        assert result.ran == "C" * len(it.package.manifest.layers)
        assert result.label == it.package.manifest.labels[1]
        assert not result.degraded
        await it.client.infer(it.images[0], fallback="never-leave")
        # Image and codec of the one call, its tail; all work of the other.
        assert pieces.ended == ["finished", "stopped", "finished"]


async def test_what_runs_beside_an_exchange_is_no_phase_of_the_call(bench: Factory) -> None:
    """The device prepares the image for the tail that it races with; the companion is first all the same."""
    pieces = Pieces(endless=0)
    answer, device = answers_when_the_tail_runs(pieces), observed_thousandfold(pieces)
    async with impostor(bench, answer, "[failover]\nhedge_price = 0\n", **device) as it:
        result = await it.client.infer(png(it.images[0]), codec="source")
        assert result.ran == "C" * len(it.package.manifest.layers)
        assert (result.measured.prep_ms, result.measured.local_tail_ms) == (None, None)
        assert (result.measured.other_ms or 0) >= 0
    # The lane has ended.
    assert pieces.ended == ["stopped"]


async def test_all_in_flight_to_a_dead_companion_fails_over_at_once(bench: Factory) -> None:
    """Each call would wait for very long, but one call finds that the companion no longer listens."""
    arrived, hung_up = asyncio.Semaphore(0), 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal hung_up
        await request.read()
        arrived.release()
        try:
            await asyncio.Event().wait()
        finally:
            hung_up += 1
        raise AssertionError("the device should have hung up")

    async with impostor(bench, answer) as it:
        calls = [asyncio.create_task(it.client.infer(it.images[0], cut="image", fallback="fail")) for _ in range(4)]
        for _ in calls:
            await arrived.acquire()
        await it.stop_cloud()
        # More than there are kept-alive connections.
        calls += [asyncio.create_task(it.client.infer(it.images[0], cut="image", fallback="fail")) for _ in range(4)]
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, CompanionUnavailable) for end in ends)
        assert sum("other exchanges with it failed" in str(end) for end in ends) >= 4
        assert hung_up >= 4
        assert (await it.client.status())["clouds"][0]["breaker"] == "open"


async def test_a_busy_companion_is_left_alone_for_as_long_as_it_says(bench: Factory) -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        error = Overloaded("64 requests are waiting already")
        body, headers = wire.encode_error(error), {"Retry-After": "50"}
        return web.Response(body=body, status=503, headers=headers)

    async with impostor(bench, answer, **slowed(100)) as it:
        first = await it.client.infer(it.images[0], cut="image")
        later = [await it.client.infer(it.images[0]) for _ in range(3)]
        fixed = await it.client.infer(it.images[0], cut="image")
        for result in (first, *later, fixed):
            np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert asked == 1
        assert "64 requests are waiting" in first.why
        assert not any(result.degraded for result in later)
        assert fixed.why == "pc is busy"
        cloud = (await it.client.status())["clouds"][0]
        assert (cloud["state"], cloud["breaker"]) == ("busy", "closed")
        explained = (await it.client.explain(2))["decisions"][1]["candidates"]
        assert {each["verdict"] for each in explained if each["cloud"] == "pc"} == {"busy"}


ESCAPES = "\x1b]0;mine\x07\x1b[2J\x1b[31mall is well\x9b0m\n\u202eNov 28 07:00:00 pi sudo: root\x00"


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_what_a_companion_says_is_shown_plain(
    bench: Factory, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    async def answer(_: web.Request) -> web.Response:
        body = json.dumps({"error": ESCAPES, "code": ESCAPES, "details": {ESCAPES: ESCAPES}}).encode()
        return web.Response(body=body if status != 500 else ESCAPES.encode(), status=status)

    async with impostor(bench, answer) as it:
        result = await it.client.infer(it.images[0], cut="image")
        problem = it.daemon._plane.generation.companions[0].problem or ""
        with pytest.raises(CompanionUnavailable) as failed:
            await it.client.infer(it.images[0], cut="image", fallback="fail")
    assert "all is well" in result.why
    assert "all is well" in problem
    for text in (result.why, problem, str(failed.value), *(each.getMessage() for each in caplog.records)):
        assert text.isprintable()


@pytest.mark.parametrize("how", ["call", "package"])
async def test_never_leave_sends_nothing(bench: Factory, how: str) -> None:
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return await reply(request, [logits(SCORES)])

    policy = '[[policies]]\nmodel = "tiny"\nfallback = "never-leave"\n' if how == "package" else ""
    fallback: Literal["never-leave"] | None = "never-leave" if how == "call" else None
    eager = "[failover]\nhedge_price = 0\n[planning]\nexplore_share = 0.5\n"
    async with impostor(bench, answer, eager + policy, **slowed(100)) as it:
        for budget in ("", "1ms", "0.001mJ", "100ms,1mJ"):
            for image in it.images[:4]:
                result = await it.client.infer(image, budget, fallback=fallback)
                assert set(result.ran) == {"D"}
                assert (result.bytes_up, result.bytes_down, result.plan.cloud) == (0, 0, None)
        with pytest.raises(InvalidRequest, match="never-leave"):
            await it.client.infer(it.images[0], cut="image", fallback=fallback)
        assert asked == 0


async def test_fail_never_runs_the_tail_here(bench: Factory) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.Event().wait()
        raise AssertionError("the device should have hung up")

    ran: list[tuple[str, ...]] = []

    def observed(engine: Engine) -> Compute:
        def run(key: str, feeds: Any, outputs: Sequence[str], *, stop: Stop) -> Any:
            ran.append(tuple(outputs))
            return engine.run(key, feeds, outputs, stop=stop)

        return replace(compute_on(engine), run_layers=run)

    async with impostor(bench, answer, compute_of=observed) as it:
        with pytest.raises(CompanionUnavailable, match="did not answer within"):
            await it.client.infer(it.images[0], "200ms", cut="pool1", fallback="fail")
        assert ("logits",) not in ran
        assert len(ran) == 1
