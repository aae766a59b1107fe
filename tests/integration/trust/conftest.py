"""Both daemons, from configuration files and keys that `collabctl pair` made."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collab_sdk import AsyncClient
from collab_sdk.reports import CloudReport
from collabd.catalog.package.package import Package
from collabd.cloud.api import guard
from collabd.cloud.server import CloudDaemon
from collabd.cloud.server import running as running_cloud
from collabd.config import CloudConfig, DeviceConfig, Loaded, Source
from collabd.ctl.__main__ import main as collabctl
from collabd.device.companions import credentials
from collabd.device.server import DeviceDaemon, running
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.patience import PATIENCE_S, PROGRAM_S


@dataclass
class Machines:
    """The folders of a companion and of a device."""

    companion: Path
    device: Path

    def ctl(self, *words: str) -> Result:
        """`collabctl pair ...` on the machine that the word means."""
        path = self.device / "collabd.toml" if words[0] == "add" else self.companion / "collab-cloudd.toml"
        return CliRunner().invoke(collabctl, ["pair", *words, "--config", str(path)])

    def pair(self, *options: str, device: str = "pi", add: tuple[str, ...] = ()) -> None:
        """New keys for the device, carried there."""
        carried = str(self.companion / f"{device}.pair")
        for words in (
            ("new", device, "--name", "pc", "--host", "127.0.0.1", "--out", carried, *options),
            ("add", carried, *add),
        ):
            done = self.ctl(*words)
            assert done.exit_code == 0, done.output

    def cloud_settings(self) -> Loaded[CloudConfig]:
        """Read and checked as the daemon does."""
        path = self.companion / "collab-cloudd.toml"
        return Source(CloudConfig, path, path, problems=guard.problems).load()

    def device_settings(self, address: str) -> Loaded[DeviceConfig]:
        """Read and checked as the daemon does, with the companion at the address that it got."""
        path = self.device / "collabd.toml"
        path.write_text(re.sub(r'url = "https?://[^"]*"', f'url = "{address}"', path.read_text()))
        return Source(DeviceConfig, path, path, problems=credentials.problems).load()

    def cloud(self) -> AbstractAsyncContextManager[CloudDaemon]:
        """The companion, running."""
        return running_cloud(self.cloud_settings(), machine=SHOWS_NOTHING)

    @asynccontextmanager
    async def device_at(self, address: str) -> AsyncIterator[tuple[AsyncClient, DeviceDaemon]]:
        """The device, running."""
        async with (
            running(self.device_settings(address), SHOWS_NOTHING) as daemon,
            AsyncClient(self.device / "collabd.sock", timeout_s=PATIENCE_S) as client,
        ):
            await client.wait(PROGRAM_S, profiled=True)
            yield client, daemon


@pytest.fixture
def machines(tmp_path: Path, tiny_package: Package) -> Machines:
    root = tmp_path / "packages"
    shutil.copytree(tiny_package.path, root / tiny_package.manifest.name)
    made = Machines(tmp_path / "companion", tmp_path / "device")
    for folder, name, server in (
        (made.companion, "collab-cloudd", "port = 0"),
        (made.device, "collabd", f'socket = "{made.device}/collabd.sock"'),
    ):
        folder.mkdir()
        (folder / f"{name}.toml").write_text(
            f'# Mine.\nstate_dir = "{folder}/state"\n\n[models]\nroots = ["{folder}/models", "{root}"]\n\n'
            f"[server]\n# Where.\n{server}\n"
        )
    return made


async def until(client: AsyncClient, right: Callable[[CloudReport], bool]) -> CloudReport:
    """What the device says of its companion once it is `right`."""
    for _ in range(int(PATIENCE_S / 0.05)):
        cloud = (await client.status())["clouds"][0]
        if right(cloud):
            return cloud
        await asyncio.sleep(0.05)
    raise AssertionError(cloud)


def is_of_use(cloud: CloudReport) -> bool:
    """Up, with what the device has."""
    return cloud["state"] == "up" and bool(cloud["packages"]) and cloud["age_s"] is not None
