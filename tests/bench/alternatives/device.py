"""Everything that is compared, started: what is of the device in its cgroup, servers and links outside."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from collab_sdk import AsyncClient
from collabd.simulation.relay import Relay
from collabd.simulation.testbed import free_port
from tests.bench.alternatives.orders import Device
from tests.bench.device import honest_device
from tests.bench.honest_bed import HonestBed
from tests.bench.programs import Program, program

_POLL_S = 0.05
_STARTS_S = 60.0
_HERE = "tests.bench.alternatives"


class Field:
    """The caller, and the links to collabd's companion and to the plain server, which are alike."""

    def __init__(self, caller: Program, relays: Sequence[Relay]) -> None:
        self.caller = caller
        self._relays = relays

    def link(self, *, mbit: float, rtt_ms: float) -> None:
        """From now on both links are so."""
        for relay in self._relays:
            relay.set_rate(mbit * 1e6 / 8)
            relay.set_rtt(rtt_ms / 1e3)


@asynccontextmanager
async def field(packages: Mapping[str, Path], *, share: float, profiles: Path) -> AsyncIterator[Field]:
    """All of it, warm: models profiled, the companion up. Raises NoSlowCpu."""
    with tempfile.TemporaryDirectory(prefix="collabd-bench-") as scratch:
        directory = Path(scratch)
        async with AsyncExitStack() as stack:
            slow = stack.enter_context(honest_device(share))
            bed = HonestBed(list(packages.values()), directory, slow=slow, profiles=profiles)
            relay = await stack.enter_async_context(bed.relay())
            stack.enter_context(bed)
            async with AsyncClient(bed.socket) as client:
                await bed.until_ready(client)
            places = [str(package) for package in packages.values()]
            port = free_port()
            await stack.enter_async_context(program(f"{_HERE}.plain", str(port), *places))
            to_server = await stack.enter_async_context(Relay(("127.0.0.1", 0), ("127.0.0.1", port)))
            minimal = directory / "minimal.sock"
            daemon = program(f"{_HERE}.minimal", str(minimal), *places, within=slow.command)
            minimal_pid = (await stack.enter_async_context(daemon)).pid
            await until_listening(port, minimal)
            device = Device(
                socket=str(bed.socket),
                collabd=bed.pid("device"),
                minimal=str(minimal),
                minimal_pid=minimal_pid,
                server=to_server.address,
                packages=dict(zip(packages, places, strict=True)),
            )
            caller = program(f"{_HERE}.caller", msgspec.json.encode(device).decode(), within=slow.command)
            yield Field(await stack.enter_async_context(caller), (relay, to_server))


async def until_listening(port: int, path: Path) -> None:
    """Wait until the plain server and the minimal daemon do."""
    async with asyncio.timeout(_STARTS_S):
        for connect in (
            partial(asyncio.open_connection, "127.0.0.1", port),
            partial(asyncio.open_unix_connection, path),
        ):
            while True:
                try:
                    _, writer = await connect()
                except OSError:
                    await asyncio.sleep(_POLL_S)
                else:
                    writer.close()
                    break
