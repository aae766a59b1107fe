"""The share of a core that audits may take, under a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from collabd.device.audit.pace import AuditPace, Taken
from collabd.simulation import virtual_time


async def worked(pace: AuditPace, pieces: int, core_s: float) -> float:
    """Seconds that so many pieces of work took with their rests."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(pieces):
        await pace.rest()
        await asyncio.sleep(core_s)
        pace.spent(core_s)
    await pace.rest()
    return loop.time() - began


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_work_takes_its_share_and_no_more(share: float) -> None:
    taken = Taken()

    async def main() -> float:
        pace = AuditPace(share, taken, allowed=lambda: True, clock=asyncio.get_running_loop().time)
        return await worked(pace, pieces=20, core_s=0.1)

    # Work rests after it has taken its time, so it takes a little less.
    assert virtual_time.run(main()) == pytest.approx(2.0 / share + 2.0)
    assert taken.core_s == pytest.approx(2.0)


def test_on_battery_it_rests_until_there_is_a_charger() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        pace = AuditPace(1.0, Taken(), allowed=lambda: loop.time() > 100.0, clock=loop.time)
        await pace.rest()
        return loop.time()

    assert 100.0 < virtual_time.run(main()) <= 130.0
