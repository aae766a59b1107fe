"""An honest device with networks: the caller and collabd in its cgroup, companion and link outside."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from collab_sdk import AsyncClient
from collabd.simulation.relay import Relay
from collabd.simulation.samples import Form
from collabd.simulation.slow_cpu import SlowCpu
from tests.bench.alternatives.networks import SHIPPED, package
from tests.bench.device import honest_device
from tests.bench.honest_bed import HonestBed
from tests.bench.live.orders import Calls, Report
from tests.bench.programs import Program, program

RTT_S = 0.005
# A network so heavy that a fast link is worth using.
HEAVY = "resnet18"


class LiveDevice:
    """Calls from it, its link, and other work on it."""

    def __init__(self, caller: Program, relay: Relay, slow: SlowCpu) -> None:
        self._caller, self._relay, self._slow = caller, relay, slow

    def link(self, mbit: float) -> None:
        """From now on the link has this rate."""
        self._relay.set_rate(mbit * 1e6 / 8)

    async def call(
        self,
        model: str,
        form: Form,
        budgets: Sequence[str | float],
        *,
        pause_s: float = 0.0,
        cut: str | None = None,
        codec: str | None = None,
    ) -> Report:
        """A call for each of the budgets; `cut` and `codec` fix the plan."""
        order = Calls(model=model, form=form, budgets=list(budgets), pause_s=pause_s, cut=cut, codec=codec)
        return await self._caller.ask(order, Report)

    @contextmanager
    def burning(self, processes: int) -> Iterator[None]:
        """Other processes that want all of the device's time."""
        burners = [self._slow.start([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
        try:
            yield
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()


@asynccontextmanager
async def live_device(directory: Path, kept: Path) -> AsyncIterator[LiveDevice]:
    """One that is ready. The packages and profiles that it needs stay in `kept` for the next run. Raises NoSlowCpu."""
    async with AsyncExitStack() as stack:
        slow = stack.enter_context(honest_device())
        packages = [package(name, kept / "packages") for name in (*SHIPPED, HEAVY)]
        bed = HonestBed(packages, directory, slow=slow, profiles=kept / "profiles")
        relay = await stack.enter_async_context(bed.relay())
        relay.set_rtt(RTT_S)
        stack.enter_context(bed)
        async with AsyncClient(bed.socket) as client:
            await bed.until_ready(client)
        caller = program("tests.bench.live.caller", str(bed.socket), within=slow.command)
        yield LiveDevice(await stack.enter_async_context(caller), relay, slow)
