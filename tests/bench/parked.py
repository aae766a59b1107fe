"""`python -m tests.bench.parked`: a camera that is parked nine tenths of the time, with a stream's memory and without.

The camera's pictures are crops of the sample photographs with the noise of a sensor. It shows one scene for a while,
then pans to the next. The device is slowed, and the link is shaped; both daemons are processes. Energy is the board's
model. Fidelity is counted against the unsplit network, where that is sure.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from collab_sdk import AsyncClient
from collabd.catalog.package.package import load
from collabd.engine import Engine
from collabd.imaging import prepare
from collabd.profiling.likeness.likeness import likeness_of
from collabd.simulation.testbed import Testbed
from collabd.tasks.answering import raw_answers_of
from tests.bench.shipped import MODELS
from tests.bench.table import table
from tests.slowed import slowed_collabd

WIDTH, HEIGHT = 640, 480
# Of a sensor in daylight, in levels of 255.
_NOISE = 1.5
_PARKED, _PANNING = 180, 20
_SLOWDOWN = 8.0
_RTT_S = 0.02


@dataclass
class Spent:
    """Of one kind of calls."""

    latency_ms: list[float] = field(default_factory=list)
    energy_mj: float = 0.0
    bytes_up: int = 0
    inherited: int = 0
    likeness: list[float] = field(default_factory=list)
    looks_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.parked", description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--mbit", type=float, default=5.0)
    parser.add_argument("--budget", default="99%")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="collabd-parked-") as scratch:
        asyncio.run(_measure(given, Path(scratch)))


async def _measure(given: argparse.Namespace, scratch: Path) -> None:
    bed = Testbed(MODELS, scratch, device=slowed_collabd(_SLOWDOWN))
    reference = _Reference(given.model)
    async with bed.relay() as relay:
        relay.set_rtt(_RTT_S)
        relay.set_rate(given.mbit * 1e6 / 8)
        with bed:
            async with AsyncClient(bed.socket) as client:
                await bed.until_ready(client)
                rows = {
                    name: await _all(client, given, reference, stream)
                    for name, stream in (("no memory", None), ("a stream's memory", "camera"))
                }
    none = rows["no memory"]
    print(
        table(
            ("", "mean ms", "mJ", "bytes up", "inherited", "fidelity", "look ms"),
            [
                (
                    name,
                    f"{statistics.fmean(spent.latency_ms):.1f}",
                    f"{spent.energy_mj / given.frames:.1f} ({spent.energy_mj / none.energy_mj:.0%})",
                    f"{spent.bytes_up / given.frames:.0f} ({spent.bytes_up / max(none.bytes_up, 1):.0%})",
                    f"{spent.inherited / given.frames:.1%}",
                    f"{statistics.fmean(spent.likeness):.4f} of {len(spent.likeness)}",
                    f"{statistics.median(spent.looks_ms):.2f}" if spent.looks_ms else "-",
                )
                for name, spent in rows.items()
            ],
        )
    )


async def _all(client: AsyncClient, given: argparse.Namespace, reference: _Reference, stream: str | None) -> Spent:
    spent = Spent()
    for frame in _camera(given.frames):
        result = await client.infer(frame, given.budget, model=given.model, stream=stream, raw=True)
        spent.latency_ms.append(result.measured.latency_ms or 0.0)
        spent.energy_mj += result.energy_mj
        spent.bytes_up += result.bytes_up
        spent.inherited += result.inherited_age_s is not None
        if result.measured.look_ms is not None:
            spent.looks_ms.append(result.measured.look_ms)
        if (share := reference.likeness(frame, dict(result.outputs))) is not None:
            spent.likeness.append(share)
    return spent


def _camera(frames: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(5)
    photographs = [Image.open(path).convert("RGB") for path in sorted((MODELS / "samples").glob("*/*.jpg"))]
    shown = 0
    while shown < frames:
        photograph = photographs[rng.integers(len(photographs))]
        # From one corner to another place, where it stays.
        side = rng.uniform(0.5, 0.9)
        width, height = photograph.width * side, photograph.height * side
        target = rng.uniform(0, 1, 2) * (photograph.width - width, photograph.height - height)
        for step in (*np.linspace(0, 1, _PANNING), *[1.0] * _PARKED):
            if shown == frames:
                return
            left, top = target * step
            box = (left, top, left + width, top + height)
            scene = np.asarray(photograph.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box))
            yield np.clip(scene + rng.normal(0, _NOISE, scene.shape) + 0.5, 0, 255).astype(np.uint8)
            shown += 1


class _Reference:
    """The unsplit network."""

    def __init__(self, model: str) -> None:
        self._package = load(MODELS / model / "package")
        self._engine = Engine(threads=1, cache_bytes=1 << 28)
        self._engine.add("whole", self._package.network())

    def likeness(self, frame: np.ndarray, found: dict[str, np.ndarray]) -> float | None:
        """How much this is like the unsplit network's answer, 0..1; None: the picture tells nothing."""
        manifest = self._package.manifest
        pixels = prepare(frame, manifest.require_picture())
        unsplit = self._engine.run("whole", {manifest.input_names[0]: pixels}, manifest.output_names)
        likeness = likeness_of(manifest, raw_answers_of(manifest)(unsplit, (WIDTH, HEIGHT)), [(WIDTH, HEIGHT)])
        shares = likeness.shares(found, 0)
        return float(shares[0, 0]) if likeness.telling(shares)[0] else None


if __name__ == "__main__":
    main()
