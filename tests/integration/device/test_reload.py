"""Another configuration while calls are under way."""

from __future__ import annotations

import asyncio

import numpy as np
from aiohttp import web

from tests.integration.device.conftest import Bench, Factory
from tests.integration.device.impostor import impostor, logits, reply
from tests.patience import PATIENCE_S


async def value(it: Bench, key: str) -> object:
    return (await it.client.config())["settings"][key]["value"]


async def test_what_was_learned_and_counted_goes_on(bench: Factory) -> None:
    async with bench() as it:
        for image in it.images[:5]:
            await it.client.infer(image, cut="image", codec="u8", stream="gate")
        before = await it.client.status()
        await it.reload("[planning]\nmin_fidelity = 0.5\n")
        after = await it.client.status()
        assert await value(it, "planning.min_fidelity") == 0.5
        assert after["requests"] == before["requests"]
        assert after["last"] == before["last"]
        assert [each | {"age_s": 0} for each in after["streams"]] == [each | {"age_s": 0} for each in before["streams"]]
        assert after["uptime_s"] >= before["uptime_s"]
        assert len((await it.client.explain(5))["decisions"]) == 5
        (cloud,) = after["clouds"]
        assert (cloud["state"], cloud["packages"]) == ("up", [it.package.digest])


async def test_calls_stay_with_their_plan_over_a_reload(bench: Factory) -> None:
    """Calls of a kind have a plan that they keep; a reload makes no new beginning of it."""
    async with bench() as it:
        await it.client.infer(it.images[0])
        past = it.daemon.machinery.learned.past_plans
        (kind,) = past._by_kind
        plan = past.of(kind).plan
        await it.reload("[planning]\nswitch_gain_ms = 1000\nswitch_gain_ratio = 0.9\nexplore_share = 0\n")
        result = await it.client.infer(it.images[0])
        assert plan is not None
        assert (result.plan.cut, result.plan.codec) == plan[:2]
        assert list(past._by_kind) == [kind]


async def test_calls_that_must_not_fall_back_never_miss_the_companion(bench: Factory) -> None:
    """With every reload the companion's own settings change, so that it is made anew; it is used when it is known."""
    async with bench("[failover]\nbreaker_failures = 3\n") as it:
        done = asyncio.Event()

        async def call(image: np.ndarray) -> int:
            answers = 0
            while not done.is_set():
                result = await it.client.infer(image, cut="image", codec="u8", fallback="fail")
                assert (set(result.ran), result.degraded) == ({"C"}, False)
                np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-6)
                answers += 1
            return answers

        calls = [asyncio.create_task(call(image)) for image in it.images[:4]]
        for failures in (4, 5, 6):
            await it.reload(f"[failover]\nbreaker_failures = {failures}\n")
            assert await value(it, "failover.breaker_failures") == failures
        done.set()
        assert min(await asyncio.gather(*calls)) > 0


async def test_what_cannot_change_is_reported_as_it_is(bench: Factory) -> None:
    async with bench("[engine]\ncache_mb = 64\n", cloud=False) as it:
        await it.reload("[engine]\ncache_mb = 65\n[planning]\nmin_fidelity = 0.25\n")
        assert (await value(it, "engine.cache_mb"), await value(it, "planning.min_fidelity")) == (64, 0.25)


async def test_a_call_ends_on_the_connections_that_it_began_with(bench: Factory) -> None:
    """A call keeps its companion's old settings to its end, even if a reload changes them twice meanwhile."""
    arrived, released = asyncio.Semaphore(0), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        arrived.release()
        await released.wait()
        return await reply(request, [logits(np.array([[0, 9, 0]], np.float32))])

    async with impostor(bench, answer, "[failover]\nbreaker_failures = 3\n") as it:
        calls = [asyncio.create_task(it.client.infer(it.images[0], cut="image", fallback="fail")) for _ in range(3)]
        for _ in calls:
            await arrived.acquire()
        for failures in (4, 5):
            await it.reload(f"[failover]\nbreaker_failures = {failures}\n")
            assert await value(it, "failover.breaker_failures") == failures
        released.set()
        for result in await asyncio.gather(*calls):
            assert (set(result.ran), result.degraded) == ({"C"}, False)
        # With the last of them goes all that only the old settings needed.
        async with asyncio.timeout(PATIENCE_S):
            while len(it.daemon._assembly._held) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
