"""Neither calls nor failures, reloads or packages that come and go leave anything behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from collab_sdk import InvalidImage
from collabd.catalog.package.package import Package
from tests.integration.device.conftest import Bench, Factory
from tests.integration.device.impostor import impostor
from tests.integration.device.test_infer import png
from tests.patience import PATIENCE_S, PROGRAM_S

ROUNDS, CALLS = 5, 400


class Held(NamedTuple):
    """What both daemons and the client have open, in this one process."""

    tasks: int
    files: int
    threads: int


def held() -> Held:
    return Held(len(asyncio.all_tasks()), len([*Path("/proc/self/fd").iterdir()]), threading.active_count())


async def a_round(it: Bench, other: Package, place: int) -> None:
    await it.reload(f"[link]\nstale_s = {2 + place % 2}\n")
    await it.client.load_model(other.path)
    for turn in range(CALLS):
        image = it.images[turn % len(it.images)]
        await it.client.infer(image, model="tiny", cut=None if turn % 2 else "image", codec=None if turn % 2 else "u8")
    await it.client.infer(it.images[0], model="other")
    with pytest.raises(InvalidImage):
        await it.client.infer(b"no image", model="tiny")
    await it.client.unload_model("other")


async def settled(before: Held) -> Held:
    """The open things after all that ends by itself has ended: then there are about as many as `before`."""
    for _ in range(int(PATIENCE_S / 0.05)):
        if about_as_many(held(), before):
            break
        await asyncio.sleep(0.05)
    return held()


def about_as_many(after: Held, before: Held) -> bool:
    """Two overlapping calls may leave one more kept connection; a leak in each round would leave more than that."""
    return all(now - then < ROUNDS for now, then in zip(after, before, strict=True))


async def test_two_thousand_calls_leave_nothing_behind(bench: Factory, other_package: Package) -> None:
    async with bench() as it:
        for place in range(2):
            await a_round(it, other_package, place)
        before = held()
        for place in range(ROUNDS):
            await a_round(it, other_package, place)
        after = await settled(before)
        assert about_as_many(after, before), (before, after)


@contextmanager
def uncollected() -> Iterator[Counter[str]]:
    """Without the garbage collector; behind it stand the types of what only that would have freed, but not others'."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("collab"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_what_is_replaced_or_has_failed_waits_for_no_garbage_collector(
    bench: Factory, other_package: Package
) -> None:
    """It would come once in thousands of calls: until then replaced configurations would pile up."""
    async with bench() as it:
        await a_round(it, other_package, 0)
        with uncollected() as found:
            for place in (1, 2):
                calls = [asyncio.create_task(it.client.infer(image)) for image in it.images]
                await asyncio.sleep(0.01)
                await a_round(it, other_package, place)
                await asyncio.gather(*calls)
            calls = [asyncio.create_task(it.client.infer(image, cut="image", codec="u8")) for image in it.images]
            await it.stop_cloud()
            assert any(each.degraded for each in [*await asyncio.gather(*calls), await it.client.infer(it.images[0])])
        assert not found


async def test_neither_does_a_call_that_was_overtaken(bench: Factory) -> None:
    """It holds its request, and on a bad link there are many."""

    async def hangs(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.Event().wait()
        raise AssertionError("the device should have hung up")

    async with impostor(bench, hangs) as it:
        await it.client.infer(it.images[0], "400ms", cut="image")
        with uncollected() as found:
            for image in it.images[:3]:
                assert "did not answer" in (await it.client.infer(image, "100ms", cut="image")).why
            cut_short = png(it.images[0])[:-60]
            with pytest.raises(InvalidImage):
                await it.client.infer(cut_short, "100ms", codec="source")
        assert not found


async def test_of_a_removed_model_nothing_is_kept(bench: Factory, other_package: Package) -> None:
    async with bench() as it:
        await it.client.load_model(other_package.path)
        await it.client.wait(PROGRAM_S, profiled=True)
        for image in it.images:
            await it.client.infer(image, model="other")
        model = weakref.ref(await it.daemon.machinery.models.fetch("other"))
        network = weakref.ref((await it.daemon.machinery.models.fetch("other")).network)
        await it.client.unload_model("other")
        async with asyncio.timeout(PATIENCE_S):
            while model() is not None or network() is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
