"""Neither calls nor failures, reloads or packages that come and go leave anything behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from collab_sdk import InvalidImage
from collabd.catalog.package.package import Package
from tests.integration.device.conftest import Bench, Factory

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


async def settled(least: Held) -> Held:
    """The open things after all that ends by itself has ended; the wait is over when only `least` are left."""
    for _ in range(100):
        if all(now <= before for now, before in zip(held(), least, strict=True)):
            break
        await asyncio.sleep(0.05)
    return held()


async def test_two_thousand_calls_leave_nothing_behind(bench: Factory, other_package: Package) -> None:
    async with bench() as it:
        for place in range(2):
            await a_round(it, other_package, place)
        before = held()
        for place in range(ROUNDS):
            await a_round(it, other_package, place)
        after = await settled(before)
        # Two overlapping calls may leave one more kept connection; a leak in each round would leave more than that.
        assert all(now - then < ROUNDS for now, then in zip(after, before, strict=True)), (before, after)
