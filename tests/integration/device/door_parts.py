"""A device with a model of every task behind a door, and no companion."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from aiohttp import ClientSession
from aiohttp.test_utils import unused_port
from PIL import Image

from collab_sdk import Detections
from tests.integration.device.conftest import Bench, Factory
from tests.task_networks import package_of

# What the packages are called. The classifier is `tiny`, the bench's own.
NAMES = {"detect": "finder", "segment": "ground", "tensors": "mixer"}


def photo(height: int = 70, width: int = 100, orientation: int = 1, seed: int = 8) -> bytes:
    """A PNG of patches of colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


class AtDoor(NamedTuple):
    """A device, its door's address, and a session to call it."""

    bench: Bench
    url: str
    session: ClientSession

    async def found(self, file: bytes) -> Detections:
        """What the Unix socket says of a picture, without the companion."""
        return (await self.bench.client.infer(file, model="finder", fallback="never-leave")).detections


@asynccontextmanager
async def at_door(bench: Factory, directory: Path, kind: str, **settings: object) -> AsyncIterator[AtDoor]:
    """Run the device with a door of this kind. The models lie where the bench puts its own."""
    for task, name in NAMES.items():
        package_of(task, directory / "packages" / name, name=name)
    listen = f"127.0.0.1:{unused_port()}"
    told = {"kind": kind, "listen": listen, **settings}
    lines = "".join(f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in told.items())
    async with (
        bench(f"[server]\nmax_request_mb = 1\n[[doors]]\n{lines}", cloud=False) as it,
        ClientSession() as session,
    ):
        yield AtDoor(it, f"http://{listen}", session)
