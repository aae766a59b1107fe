"""A board with little memory: one network, and every kind of call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collab_sdk import AsyncClient
from collabd.simulation.testbed import Testbed
from tests.memory_limit import MemoryLimit, memory_limit

MODELS = Path(__file__).parents[3] / "models"
NETWORK = "efficientnet_lite0"
# docs/raspberry-pi.md says so.
LIMIT = 160 << 20
CALLS = 1_000
# While the link is slow the device answers as well, and other plans are built ahead.
SLOW_CALLS = range(400, 440)
SLOW_BYTES_S, FAST_BYTES_S = 4e6 / 8, 500e6 / 8


@pytest.fixture
def limit() -> Iterator[MemoryLimit]:
    with memory_limit(LIMIT) as group:
        yield group


@pytest.mark.slow
async def test_a_thousand_calls_of_every_kind_fit_into_160_mb(tmp_path: Path, limit: MemoryLimit) -> None:
    packages = tmp_path / "only"
    packages.mkdir()
    (packages / NETWORK).symlink_to(MODELS / NETWORK / "package")
    bed = Testbed(packages, tmp_path)
    file = (MODELS / "samples/photos/coffee.jpg").read_bytes()
    frame = np.asarray(Image.open(BytesIO(file)).convert("RGB").resize((640, 480)))
    answers: Counter[bool] = Counter()
    async with bed.relay() as relay:
        bed.start_cloud()
        with limit.inside():
            bed.start_device()
        try:
            async with AsyncClient(bed.socket) as client:
                await bed.until_ready(client)
                rows = (await client.profile(NETWORK))["rows"]
                cuts = [row["cut"] for row in rows if row["cloud"] is not None]
                kinds: list[dict[str, Any]] = [{}, {"fallback": "never-leave"}]
                kinds += [{"cut": cut, "fallback": "fail"} for cut in cuts]
                for turn in range(CALLS):
                    relay.set_rate(SLOW_BYTES_S if turn in SLOW_CALLS else FAST_BYTES_S)
                    image = file if turn % 2 else frame
                    result = await client.infer(image, **kinds[turn // 2 % len(kinds)])
                    assert result.label == "espresso"
                    answers[result.plan.cloud is None] += 1
            assert limit.kills() == 0, bed.log("device")
        finally:
            bed.__exit__(None, None, None)
    assert min(answers[True], answers[False]) > CALLS // 10
