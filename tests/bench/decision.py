"""How long it takes to choose a plan."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from collabd.config import CloudSettings, DeviceConfig
from collabd.device.companions.companion import Companion
from collabd.device.decide.chooser import Chooser, PastPlans
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.planning import CallFacts, Candidate, Candidates, Caps, CloudState, DeviceState, hedged, predict
from collabd.planning.choose import SwitchGain
from collabd.profiling import machine, stored
from tests.bench.shipped import Shipped
from tests.bench.stopwatch import Seconds, median_and_p99_us, repeated
from tests.bench.table import table
from tests.device_parts import NoExchange, planner_of

_REPEATS = 2000
_SYNTHETIC = 500
_OPTIONS = CallOptions.from_parameters({"budget": "80ms"})


def measure(profiles: Path, networks: Sequence[Shipped]) -> None:
    """Print it for each network, whose profile is stored under `profiles`, and for many synthetic candidates."""
    rows = []
    for network in networks:
        rows += asyncio.run(_real(profiles, network))
    for kind, spread in (("steady links", 0.1), ("unsteady links", 0.5)):
        figures = median_and_p99_us(_synthetic(spread))
        rows.append((f"synthetic, 2 companions, {kind}", str(_SYNTHETIC), *figures))
    print(table(("One decision", "candidates", "median", "p99"), rows))
    print(f"{_REPEATS} decisions each, budget {_OPTIONS.budget}; a network's: by Planner.plan, as for a call.\n")


async def _real(profiles: Path, network: Shipped) -> list[tuple[str, ...]]:
    """The daemon's planner with one companion, which is as fast as the device."""
    config, image, digest = DeviceConfig(), network.images[0], network.package.digest
    model = DeviceModel(network.package, network.package.networks())
    model.profile = stored.load(digest, machine.describe(), threads=os.cpu_count() or 1, directory=profiles)
    if model.profile is None:
        raise RuntimeError(f"collabd has stored no profile of {network.name} under {profiles}")
    width, height = (
        network.package.manifest.require_picture().width,
        network.package.manifest.require_picture().height,
    )
    asked = CallImage(image, width * height)
    cloud = CloudSettings(name="companion", url="http://127.0.0.1")
    companion = Companion(cloud, config.link, config.failover, exchange=NoExchange())
    companion.reached, companion.profiles[digest] = True, model.profile
    planner = planner_of(config, [companion])

    async def decide() -> None:
        await planner.plan(model, asked, _OPTIONS)

    async def decide_anew() -> None:
        planner.reconsider()
        await decide()

    return [
        (name, str(len(planner.candidates(model))), *median_and_p99_us(repeated(partial(_to_its_end, work), _REPEATS)))
        for name, work in ((network.name, decide_anew), (f"{network.name}, nothing changed", decide))
    ]


def _to_its_end(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine that waits for nothing."""
    with suppress(StopIteration):
        work().send(None)


def _synthetic(link_spread: float) -> Seconds:
    """Predict, weigh a race against the companion, and choose with a memory, as the daemon does."""
    random = np.random.default_rng(0)
    plans = Candidates([_candidate(random, index) for index in range(_SYNTHETIC)])
    device = DeviceState(speed=1.0, spread=0.1, busy_w=5.2, idle_w=2.3, tx_w_per_mbps=0.28, tx_base_w=0.13)
    clouds = [
        CloudState(
            name=name,
            up=True,
            rtt_s=rtt_s,
            up_s_per_byte=1e-6,
            down_s_per_byte=1e-6,
            link_spread=link_spread,
            speed=1.0,
            speed_spread=0.1,
            queue_s=0.0,
        )
        for name, rtt_s in (("a", 0.005), ("b", 0.05))
    ]
    call, caps = CallFacts(0.002, (0.001, 0.001), 15_000), Caps(latency_s=0.08, fidelity=0.99)
    chooser = Chooser(SwitchGain(5e-4, 0.03), explore_share=0.02, past=PastPlans())

    def decide() -> None:
        prediction = hedged(
            plans, predict(plans, device=device, clouds=clouds, call=call, quantile=0.98), clouds=clouds, price=0.1
        )
        chooser.turn(chooser.weigh(plans, prediction, caps, kind="call"), "call")

    return repeated(decide, _REPEATS)


def _candidate(random: np.random.Generator, index: int) -> Candidate:
    seconds = random.uniform(0.0, 0.05, 5)
    head, encode, decode, tail, local_tail = map(float, seconds)
    return Candidate(
        cut=f"cut{index // 4}",
        codec=("f32", "f16", "q8", "q4")[index % 4],
        cloud=(None, 0, 1)[index % 3],
        head_s=head,
        encode_s=encode,
        up_bytes=float(random.uniform(1e3, 1e5)),
        down_bytes=500.0,
        decode_s=decode,
        tail_s=tail,
        local_tail_s=local_tail,
        fidelity=float(random.uniform(0.98, 1.0)),
    )
