"""Run in a network namespace of its own: a companion that announces itself, moves and withdraws, and who hears of it.

Prints as JSON what was heard at each stage.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable

import uvloop

from collabd.discovery.announcement import Announcement
from collabd.discovery.announcer import Announcer
from collabd.discovery.listener import Listener, listening
from collabd.discovery.machine import own_addresses, own_networks
from collabd.lifecycle import background, do_without
from tests.patience import PATIENCE_S


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)  # noqa: S607


def said() -> Announcement:
    return Announcement(name="pc", addresses=own_addresses(), port=8470, version="0.1.0", secured=False)


async def until(listener: Listener, right: Callable[[list[str]], bool]) -> list[str]:
    """The URLs that are heard, once they are `right`; in the end those that are."""
    for _ in range(int(PATIENCE_S / 0.1)):
        heard = [url for each in await listener.heard() for url in each.urls]
        if right(heard):
            break
        await asyncio.sleep(0.1)
    return heard


async def main() -> None:
    scene: dict[str, list[str]] = {"networks": sorted(map(str, own_networks()))}
    async with listening() as listener:
        async with background("announcing", Announcer(said, look_s=0.1).run, do_without):
            scene["announced"] = await until(listener, bool)
            ip("address", "delete", "192.0.2.2/24", "dev", "lan")
            scene["without an address"] = await until(listener, lambda heard: not heard)
            ip("address", "add", "192.0.2.9/24", "dev", "lan")
            scene["moved"] = await until(listener, bool)
            async with listening() as late:
                scene["to who listens later"] = await until(late, bool)
        scene["withdrawn"] = await until(listener, lambda heard: not heard)
    print(json.dumps(scene))


uvloop.run(main())
