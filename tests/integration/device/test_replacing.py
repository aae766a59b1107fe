"""Models are replaced, removed and added again while calls and streams use them: each ends well on its first package.

Between a removal and the next installation there is no such model, and calls that come then are told so.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk import UnknownModel
from collabd.catalog.package.package import Package, write
from tests.integration.device.conftest import Bench, Factory
from tests.patience import PATIENCE_S
from tests.slowed import slowed

ROUNDS, CALLERS = 2, 6
# So slow that most calls are between two of their steps when a model changes.
SLOW = slowed(12)


@pytest.fixture
def versions(tiny_package: Package, tmp_path: Path) -> tuple[Path, Path]:
    """The tiny network as the model "changing": two packages with other digests."""
    manifest = msgspec.structs.replace(tiny_package.manifest, name="changing")
    model = (tiny_package.path / "model.onnx").read_bytes()
    one, other = (
        write(tmp_path / licence, manifest, model=model, licence=licence).path for licence in ("CC0-1.0", "MIT")
    )
    return one, other


class Callers:
    """Calls of all kinds, one after the other; counts the answers, all of which are right."""

    def __init__(self, it: Bench) -> None:
        self.it = it
        self.done = asyncio.Event()
        self.answers = 0
        layers = len(it.package.manifest.layers)
        self.ways: list[dict[str, Any]] = [
            {},
            {"cut": "pool1"},
            {"cut": "image", "codec": "u8"},
            {"placement": "".join("DC"[place % 2] for place in range(layers))},
        ]

    async def call(self, number: int) -> None:
        image, way = self.it.images[number], self.ways[number % len(self.ways)]
        while not self.done.is_set():
            with suppress(UnknownModel):
                self.check(image, (await self.it.client.infer(image, model="changing", **way)).scores)
            await asyncio.sleep(0.001)

    async def stream(self) -> None:
        images = self.it.images[:10]
        while not self.done.is_set():
            with suppress(UnknownModel):
                answers = [answer async for answer in self.it.client.stream(images, model="changing")]
                for image, answer in zip(images, answers, strict=True):
                    self.check(image, answer.scores)
            await asyncio.sleep(0.001)

    def check(self, image: np.ndarray, scores: np.ndarray) -> None:
        np.testing.assert_allclose(scores, self.it.reference(image), atol=0.05)
        self.answers += 1

    async def some(self) -> None:
        """Until each of them may have had an answer."""
        wanted = self.answers + CALLERS
        while self.answers < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_no_call_is_lost_while_models_come_and_go(bench: Factory, versions: tuple[Path, Path]) -> None:
    one, other = versions
    async with bench(**SLOW) as it:
        callers = Callers(it)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            await it.client.load_model(one)
            for number in range(CALLERS):
                group.create_task(callers.call(number))
            group.create_task(callers.stream())
            for _ in range(ROUNDS):
                await callers.some()
                await it.client.load_model(other)
                await callers.some()
                await it.client.unload_model("changing")
                await it.client.load_model(other)
                await callers.some()
                await it.client.load_model(one)
            callers.done.set()
        await it.client.unload_model("changing")
        with pytest.raises(UnknownModel):
            await it.client.infer(it.images[0], model="changing")
        # No call ended otherwise than with an answer, or with the word that there is no such model.
        assert re.findall(r'collabd_errors_total\{code="(\w+)"\}', it.daemon.machinery.counters.metrics().decode()) == [
            "unknown_model"
        ]
        assert [model["name"] for model in (await it.client.status())["models"]] == ["tiny"]
