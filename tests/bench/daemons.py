"""The daemons under measurement: both on this machine, the measured one's process at hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import requests

from collab_sdk import AsyncClient
from collabd.simulation.testbed import Testbed

# The device must always wait for the companion, even on a busy machine, because the bench measures its answers.
_SETTINGS = "[failover]\nhedge_price = 100"


class Daemons(Testbed):
    """A test bed without a relay, which would take its share of the cores and of every call."""

    def __init__(self, models: Path, directory: Path) -> None:
        super().__init__(models, directory, settings=_SETTINGS)
        configuration = directory / "collabd.toml"
        configuration.write_text(configuration.read_text().replace(f":{self.relay_port}", f":{self.cloud_port}"))

    @property
    def device(self) -> psutil.Process:
        """The process of collabd."""
        return psutil.Process(self._processes["device"].pid)

    def mean_batch(self) -> float:
        """How many images the companion's runs held so far."""
        page = requests.get(f"http://127.0.0.1:{self.cloud_port}/metrics", timeout=10).text
        figures = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return float(figures["collab_cloud_batch_size_sum"]) / float(figures["collab_cloud_batch_size_count"])

    def until_both_ready(self) -> None:
        """Until both are profiled and know each other."""
        asyncio.run(self._until_both_ready())

    async def _until_both_ready(self) -> None:
        async with AsyncClient(self.socket) as client:
            await self.until_ready(client)
