"""A companion fails in the middle of a call, and another one is configured: who finishes, and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from collab_sdk import CompanionUnavailable, Overloaded, Result, wire
from tests.integration.device.conftest import Bench, Factory, until_up
from tests.integration.device.impostor import Handler, Impostor, logits, reply
from tests.slowed import SLOWER_THAN_AN_EXCHANGE

FAST: dict[str, Any] = {}


class Hangs:
    """Takes the tensors, and ends the connection without a word; a stale connection is tried once more."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


class Refuses:
    """Has no room."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, _: web.Request) -> web.Response:
        self.asked += 1
        body = wire.encode_error(Overloaded("64 requests are waiting already"))
        return web.Response(body=body, status=503, headers={"Retry-After": "50"})


class Answers:
    """With these scores, which no network gives, after so many milliseconds that it says it has computed."""

    SCORES = np.array([[0, 9, 0]], np.float32)

    def __init__(self, compute_ms: float = 0.1) -> None:
        self.asked = 0
        self._compute_ms = compute_ms

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked += 1
        await request.read()
        await asyncio.sleep(self._compute_ms / 1e3)
        return await reply(request, [logits(self.SCORES)], compute_ms=self._compute_ms)


@asynccontextmanager
async def companions(
    bench: Factory,
    answers: Sequence[Handler],
    price: float = 0.0,
    *,
    real: bool = True,
    slower: float = 1.0,
    **device: Any,
) -> AsyncIterator[Bench]:
    """A device with the impostors "one" and "two" before a `real` companion "pc", which asks `price` for a call.

    The impostors say that they are so many times `slower` than this machine.
    """
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(Impostor(answer).listening()) for answer in answers]
        named = zip(("one", "two"), fakes, strict=False)
        before = "".join(f'[[clouds]]\nname = "{name}"\nurl = "{fake.url}"\n' for name, fake in named)
        prices = f"price_per_request = {price}"
        it = await stack.enter_async_context(bench(cloud=real, before=before, prices=prices, **device))
        for fake in fakes:
            await fake.know(it, slower)
        await until_up(it)
        yield it


def is_right(it: Bench, result: Result, number: int = 0) -> None:
    np.testing.assert_allclose(result.scores, it.reference(it.images[number]), atol=1e-5)


@pytest.mark.parametrize("cut", ["image", "pool1"])
async def test_another_companion_answers(bench: Factory, cut: str) -> None:
    async with companions(bench, [Hangs()], **SLOWER_THAN_AN_EXCHANGE) as it:
        result = await it.client.infer(it.images[0], cut=cut)
        is_right(it, result)
        assert (result.plan.cloud, result.ran_on, result.ran) == ("one", "pc", result.plan.placement)
        assert (result.degraded, result.failed_over) == (True, True)
        assert result.why.startswith("one failed (")
        assert result.why.endswith("pc answered in its place")
        assert "finished by pc" in str(result)
        assert result.measured.local_tail_ms is None
        assert result.measured.tail_ms is not None
        explained = (await it.client.explain(1))["decisions"][0]
        assert (explained["cloud"], explained["ran_on"]) == ("one", "pc")
        requests = (await it.client.status())["requests"]
        assert (requests["degraded"], requests["failed_over"], requests["remote"]) == (1, 1, 1)
        assert b"collabd_failed_over_total 1.0" in it.daemon.machinery.counters.metrics()


async def test_who_failed_is_charged_and_the_other_learns_from_its_own_exchange(bench: Factory) -> None:
    other = Answers(compute_ms=20.0)
    # Nothing is learned from a run that should take less than 50 µs, as the tiny network's does on a fast machine.
    async with companions(bench, [Hangs(), other], real=False, slower=20.0, **SLOWER_THAN_AN_EXCHANGE) as it:
        one, two = it.daemon._plane.generation.companions
        before = [each.slowness for each in (one, two)]
        result = await it.client.infer(it.images[0], cut="image", codec="u8")
        assert (result.ran_on, other.asked) == ("two", 1)
        assert result.measured.tail_ms == pytest.approx(20.0)
        assert (await it.client.status())["requests"]["failed_over"] == 1
        assert one.slowness == before[0]
        assert two.slowness > 1.2 * before[1]
        assert one.problem is not None
        assert two.problem is None
        assert one.breaker._failures > 0
        assert two.breaker._failures == 0


async def test_what_was_sent_to_both_counts(bench: Factory) -> None:
    async with companions(bench, [Hangs()], price=0.5, **SLOWER_THAN_AN_EXCHANGE) as it:
        both = await it.client.infer(it.images[0], cut="pool1")
        await until_up(it)
        for companion in it.daemon._plane.generation.companions[:1]:
            companion.give_up(RuntimeError("it is not to be asked"))
        one = await it.client.infer(it.images[0], cut="pool1")
        assert (both.ran_on, one.ran_on, one.degraded) == ("pc", "pc", False)
        # The message is the same; it was handed to the network for each of them.
        assert both.bytes_up == pytest.approx(2 * one.bytes_up, abs=20)
        assert both.bytes_down == pytest.approx(one.bytes_down, abs=20)
        assert both.energy_mj > 0


async def test_who_was_not_reached_was_sent_nothing(bench: Factory) -> None:
    async with companions(bench, [], price=0.5, **SLOWER_THAN_AN_EXCHANGE) as it:
        await it.stop_cloud()
        result = await it.client.infer(it.images[0], cut="pool1")
        is_right(it, result)
        assert (result.degraded, result.bytes_up, result.cost) == (True, 0, 0.0)


async def test_a_refusal_goes_to_the_other_and_is_heeded(bench: Factory) -> None:
    full = Refuses()
    async with companions(bench, [full], **SLOWER_THAN_AN_EXCHANGE) as it:
        first, second = [await it.client.infer(it.images[number], cut="image") for number in range(2)]
        is_right(it, first)
        is_right(it, second, 1)
        assert (first.ran_on, first.degraded) == ("pc", True)
        assert "64 requests are waiting" in first.why
        # For as long as it asked for, plans do without it.
        assert (second.plan.cloud, second.ran_on, second.degraded) == ("pc", "pc", False)
        assert full.asked == 1
        one = (await it.client.status())["clouds"][0]
        assert (one["state"], one["breaker"]) == ("busy", "closed")


async def test_damage_goes_to_the_other(bench: Factory) -> None:
    async def damaged(request: web.Request) -> web.Response:
        answer = await reply(request, [logits(Answers.SCORES)])
        answer.headers[wire.CHECKSUM] = wire.checksum(b"something else")
        return answer

    async with companions(bench, [damaged], **SLOWER_THAN_AN_EXCHANGE) as it:
        result = await it.client.infer(it.images[0], cut="image")
        is_right(it, result)
        assert (result.ran_on, result.degraded) == ("pc", True)


async def test_where_all_fail_the_device_finishes(bench: Factory) -> None:
    fakes = [Refuses(), Refuses()]
    async with companions(bench, fakes, **SLOWER_THAN_AN_EXCHANGE) as it:
        await it.stop_cloud()
        result = await it.client.infer(it.images[0], cut="pool1")
        is_right(it, result)
        assert set(result.ran) == {"D"}
        assert (result.ran_on, result.degraded, result.failed_over) == (None, True, False)
        assert all(f"{name} failed (" in result.why for name in ("one", "two"))
        # Each was asked once.
        assert [fake.asked for fake in fakes] == [1, 1]


async def test_a_device_that_is_faster_finishes(bench: Factory) -> None:
    other = Answers()
    async with companions(bench, [Hangs(), other], **FAST) as it:
        result = await it.client.infer(it.images[0], cut="pool1")
        is_right(it, result)
        assert set(result.ran) == {"D"}
        assert other.asked == 0


async def test_where_the_device_may_not_finish_any_other_is_asked(bench: Factory) -> None:
    async with companions(bench, [Hangs()], **FAST) as it:
        result = await it.client.infer(it.images[0], cut="pool1", fallback="fail")
        is_right(it, result)
        assert (result.ran_on, result.degraded) == ("pc", True)
        await it.stop_cloud()
        with pytest.raises(CompanionUnavailable, match=r"failed \(.*; pc failed \(.*fallback=fail"):
            await it.client.infer(it.images[0], cut="pool1", fallback="fail")


async def test_what_began_late_here_is_finished_here(bench: Factory) -> None:
    """The answer is overdue and the device has begun the tail, when the companion fails."""
    other = Answers()

    async def fails_late(request: web.Request) -> web.Response:
        await request.read()
        while not it.daemon.machinery.lane.busy:  # noqa: ASYNC110  it is another thread that does it
            await asyncio.sleep(0.002)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with companions(bench, [fails_late, other], **SLOWER_THAN_AN_EXCHANGE) as it:
        result = await it.client.infer(it.images[0], cut="image", codec="u8")
        is_right(it, result)
        assert (set(result.ran), result.degraded, other.asked) == ({"D"}, True, 0)


async def test_the_price_of_the_other_is_within_the_budget_or_it_is_not_asked(bench: Factory) -> None:
    async with companions(bench, [Hangs()], price=0.5, **SLOWER_THAN_AN_EXCHANGE) as it:
        dear = await it.client.infer(it.images[0], "cost 0.1", cut="image")
        within = await it.client.infer(it.images[0], "cost 0.6", cut="image")
        is_right(it, dear)
        is_right(it, within)
        assert (set(dear.ran), dear.cost, dear.budget_met) == ({"D"}, 0.0, True)
        assert (within.ran_on, within.cost, within.budget_met) == ("pc", 0.5, True)


async def test_the_next_crossing_goes_to_who_took_over(bench: Factory) -> None:
    one = Hangs()
    async with companions(bench, [one], **SLOWER_THAN_AN_EXCHANGE) as it:
        layers = len(it.package.manifest.layers)
        placement = "C" + "D" * (layers - 2) + "C"
        result = await it.client.infer(it.images[0], placement=placement)
        is_right(it, result)
        asked = one.asked
        assert (result.ran, result.ran_on) == (placement, "pc")
        assert asked <= 2
