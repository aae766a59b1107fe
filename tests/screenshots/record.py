"""Record the reports that the plots of the documentation are drawn from: `python -m tests.screenshots.record`.

Both daemons run on this machine. The device has a tenth of a core, as a
slow board has, which takes root. What is recorded lies
in `reports/`; so the pictures can be drawn again, and tested, without daemons.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collab_sdk import AsyncClient
from collab_sdk.vocabulary import TAKEN
from collabd.simulation.samples import load_samples
from collabd.simulation.slow_cpu import SlowCpu
from collabd.simulation.testbed import COLLABD, Testbed
from tests.bench.shipped import MODELS

REPORTS = Path(__file__).parent / "reports"
_SHARE, _RTT_S, _MBIT = 0.1, 0.01, 5.0
_DETECTOR, _PAIR, _PHOTOS = "nanodet_g", "vgg16_cifar10", "efficientnet_lite0"
_WARM_UP, _CALLS = 12, 12
# Digits that are kept of a figure.
_DIGITS = 4


async def _record(directory: Path, slow: SlowCpu) -> None:
    bed = Testbed(MODELS, directory, device=slow.command(COLLABD), settings="[engine]\nthreads = 1\n")
    samples = load_samples(MODELS, _WARM_UP)
    objects = [path.read_bytes() for path in sorted((MODELS / "samples/objects").glob("*.jpg"))]
    cifar = [sample.image for sample in samples[_PAIR, "file"]]
    photos = [sample.image for sample in samples[_PHOTOS, "file"]]
    async with bed.relay() as relay:
        relay.set_rtt(_RTT_S)
        relay.set_rate(_MBIT * 1e6 / 8)
        with bed:
            async with AsyncClient(bed.socket, timeout_s=120) as client:
                await bed.until_ready(client)
                for turn in range(_WARM_UP):
                    await client.infer(objects[turn % len(objects)], model=_DETECTOR)
                    await client.infer(cifar[turn], model=_PAIR)
                    await client.infer(photos[turn], model=_PHOTOS)
                _keep("profile-detector", await client.profile(_DETECTOR))
                _keep("profile-pair", await client.profile(_PAIR, "60ms,99%"))
                await client.infer(photos[0], "250ms", model=_PHOTOS)
                _keep("explain-one", await client.explain(1))
                for turn in range(4 * _CALLS):
                    if turn == 2 * _CALLS:
                        relay.set_rate(_MBIT / 5 * 1e6 / 8)
                    if turn == 3 * _CALLS:
                        bed.kill_cloud()
                    await client.infer(objects[turn % len(objects)], "600ms" if turn >= _CALLS else "", model=_DETECTOR)
                explained = await client.explain(4 * _CALLS)
                for decision in explained["decisions"]:
                    decision["candidates"] = [one for one in decision["candidates"] if one["verdict"] in TAKEN]
                _keep("explain-several", explained)


def _keep(name: str, report: Mapping[str, Any]) -> None:
    (REPORTS / f"{name}.json").write_text(json.dumps(_rounded(report)) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    """Record them all."""
    with SlowCpu(_SHARE) as slow, tempfile.TemporaryDirectory(prefix="collabd-record-") as directory:
        asyncio.run(_record(Path(directory), slow))


if __name__ == "__main__":
    main()
