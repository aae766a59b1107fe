"""Bytes are damaged between the device and a real companion, anywhere: no answer is ever wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from collab_sdk import Result
from collabd.catalog.package.package import Package
from collabd.cloud.server import running
from collabd.config import CloudConfig, CloudModelSettings, CloudServerSettings, Loaded
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.integration.device.conftest import Bench, Factory, until_up
from tests.peers import listening

# The breaker would end the test after two failures.
TOUGH = "[failover]\nbreaker_failures = 1000000\n"
# To the companion, and back.
UP, DOWN = 0, 1


@dataclass
class Damage:
    """What happens to the bytes of one direction: `mask` is laid over byte `at` of all that passes from now on."""

    way: int = UP
    at: int = -1
    mask: int = 0
    passed: list[int] = field(default_factory=lambda: [0, 0])
    done: int = 0

    def plan(self, way: int, at: int, mask: int) -> None:
        self.way, self.at, self.mask, self.passed = way, at, mask, [0, 0]

    def apply(self, way: int, data: bytes) -> bytes:
        start = self.passed[way]
        self.passed[way] += len(data)
        if way != self.way or not start <= self.at < start + len(data):
            return data
        damaged = bytearray(data)
        damaged[self.at - start] ^= self.mask
        self.done += 1
        return bytes(damaged)


@asynccontextmanager
async def proxied(url: str, damage: Damage) -> AsyncIterator[str]:
    """The address of a TCP proxy in front of `url`."""
    host, _, port = url.removeprefix("http://").rpartition(":")

    async def pump(way: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            while data := await reader.read(65536):
                writer.write(damage.apply(way, data))
                await writer.drain()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(UP, reader, to_there), pump(DOWN, there, writer))

    async with listening(accept) as here:
        yield f"http://127.0.0.1:{here}"


@asynccontextmanager
async def damaged(bench: Factory, package: Package, directory: Path) -> AsyncIterator[tuple[Bench, Damage]]:
    """A device and a companion with a proxy in between."""
    roots = (str(directory / "cloud/models"), str(directory / "packages"))
    config = CloudConfig(
        server=CloudServerSettings(port=0), models=CloudModelSettings(roots=roots), state_dir=str(directory / "cloud")
    )
    damage = Damage()
    async with (
        running(Loaded(config, None), machine=SHOWS_NOTHING) as cloud,
        proxied(cloud.address, damage) as url,
        bench(TOUGH, cloud=url) as it,
    ):
        await until_up(it)
        yield it, damage


async def call(it: Bench, index: int, codec: str = "u8") -> Result:
    """A call that has to be answered, and right. All but the tail's image goes over the link."""
    image = it.images[index % len(it.images)]
    result = await it.client.infer(image, cut="image", codec=codec)
    np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)
    return result


async def undamaged(it: Bench, damage: Damage, way: int) -> int:
    """How many bytes go this way for a call, and for a probe if one comes meanwhile."""
    damage.plan(way, -1, 0)
    assert not (await call(it, 0)).degraded
    return damage.passed[way]


@pytest.mark.parametrize("way", [UP, DOWN])
async def test_no_damage_makes_a_wrong_answer(bench: Factory, tiny_package: Package, tmp_path: Path, way: int) -> None:
    async with damaged(bench, tiny_package, tmp_path) as (it, damage):
        length = min([await undamaged(it, damage, way) for _ in range(3)])
        assert length > 500
        rng = np.random.default_rng(way)
        degraded = 0
        # Each seventh byte of the exchange, each with another bit; what a probe takes of them is as good.
        places = range(0, length, 7)
        for count, at in enumerate(places):
            damage.plan(way, at, 1 << int(rng.integers(8)))
            degraded += (await call(it, count)).degraded
        assert damage.done >= 0.9 * len(places)
        assert degraded >= 0.5 * len(places)
        damage.plan(way, -1, 0)
        # And it is as before, once the link is.
        await until_up(it)
        assert not (await call(it, 1)).degraded
