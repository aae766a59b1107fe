"""Both daemons in one event loop, on real sockets, with the tiny package."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk import AsyncClient
from collabd.catalog.package.package import Package, write
from collabd.cloud.api.remote_peers import RemotePeerLimits
from collabd.cloud.server import running as running_cloud
from collabd.config import CloudConfig, CloudModelSettings, CloudServerSettings, DeviceConfig, Loaded, load
from collabd.device.api.local_peers import LOCAL_PEERS, LocalPeers
from collabd.device.server import DeviceDaemon
from collabd.device.server import running as running_device
from collabd.engine import Engine
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.patience import PATIENCE_S, PROGRAM_S


@dataclass
class Bench:
    """A device daemon with a client, and a companion that can be stopped."""

    client: AsyncClient
    package: Package
    profiles: Path
    socket: Path
    stop_cloud: Callable[[], Awaitable[None]]
    reference: Callable[[np.ndarray], np.ndarray]
    # Puts other settings in force while it runs.
    reload: Callable[[str], Awaitable[None]]
    daemon: DeviceDaemon
    # As SIGTERM does.
    stop: Callable[[], Awaitable[None]]
    images: list[np.ndarray] = field(default_factory=list)


Factory = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path, tiny_package: Package, tiny_images: list[np.ndarray]) -> Factory:
    """`async with bench(settings, cloud=True | False | "http://...", pushed=False) as it`: settings is TOML.

    `prices`: those of the companion, TOML too. `before`: companions that are configured before it, TOML. `package`:
    that of the device. `peers`: those of the device; both daemons bound connections alike. `device`: what else the
    device is built of.
    """

    @asynccontextmanager
    async def make(
        settings: str = "",
        cloud: bool | str = True,
        pushed: bool = False,
        prices: str = "price_per_request = 0.01",
        before: str = "",
        package: Package = tiny_package,
        peers: LocalPeers = LOCAL_PEERS,
        **device: Any,
    ) -> AsyncIterator[Bench]:
        root = tmp_path / "packages"
        shutil.copytree(package.path, root / package.manifest.name, dirs_exist_ok=True)
        async with AsyncExitStack() as stack:
            cloud_stack = await stack.enter_async_context(AsyncExitStack())
            url = cloud if isinstance(cloud, str) else ""
            if cloud is True:
                models = CloudModelSettings(roots=(str(tmp_path / "cloud/models"), *(() if pushed else (str(root),))))
                config = CloudConfig(
                    server=CloudServerSettings(port=0), models=models, state_dir=str(tmp_path / "cloud")
                )
                limits = RemotePeerLimits(connections=peers.connections)
                running = running_cloud(Loaded(config, None), machine=SHOWS_NOTHING, limits=limits)
                url = (await cloud_stack.enter_async_context(running)).address
            own_stack = await stack.enter_async_context(AsyncExitStack())
            load_with = partial(_loaded, tmp_path, root, clouds=before + _cloud(url, prices))
            daemon = await own_stack.enter_async_context(
                running_device(load_with(settings), SHOWS_NOTHING, peers=peers, **device)
            )
            client = await stack.enter_async_context(AsyncClient(tmp_path / "collabd.sock", timeout_s=PATIENCE_S))
            await client.wait(PROGRAM_S, profiled=True)
            it = Bench(
                client,
                package,
                tmp_path / "device/profiles",
                tmp_path / "collabd.sock",
                cloud_stack.aclose,
                _reference(package),
                lambda settings: daemon.reconfigure(load_with(settings)),
                daemon,
                own_stack.aclose,
                tiny_images,
            )
            if cloud is True and not before:
                await until_up(it)
            yield it

    return make


@pytest.fixture
def other_package(tmp_path: Path, tiny_package: Package) -> Package:
    """The tiny network under another name."""
    manifest = msgspec.structs.replace(tiny_package.manifest, name="other")
    model = (tiny_package.path / "model.onnx").read_bytes()
    return write(tmp_path / "other", manifest, model=model, licence="CC0-1.0")


async def until_up(bench: Bench) -> None:
    """Wait until the device knows its companions and their profiles."""
    for _ in range(int(PATIENCE_S / 0.05)):
        clouds = (await bench.client.status())["clouds"]
        if all(
            cloud["state"] == "up" and bench.package.digest in cloud["packages"] and cloud["age_s"] is not None
            for cloud in clouds
        ):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("not all companions came up")


def stored_profile(directory: Path) -> Path:
    """The file of the one profile kept; the device uses a profile a moment before it is on disk."""
    for _ in range(int(PATIENCE_S / 0.01)):
        for path in directory.glob("*.json"):
            return path
        time.sleep(0.01)
    raise AssertionError("the profile was never stored")


def _cloud(url: str, prices: str) -> str:
    return f'[[clouds]]\nname = "pc"\nurl = "{url}"\n{prices}\n' if url else ""


def _loaded(directory: Path, root: Path, settings: str, *, clouds: str) -> Loaded[DeviceConfig]:
    path = directory / "collabd.toml"
    if "[server]" not in settings:
        settings += "[server]\n"
    settings = settings.replace("[server]", f'[server]\nsocket = "{directory}/collabd.sock"')
    path.write_text(
        f'state_dir = "{directory}/device"\n{settings}\n'
        f'[models]\nroots = ["{directory}/device/models", "{root}"]\n{clouds}'
    )
    return load(DeviceConfig, path)


def _reference(package: Package) -> Callable[[np.ndarray], np.ndarray]:
    """The unsplit network's probabilities for an image of its own size."""
    engine = Engine(threads=1, cache_bytes=2**28)
    engine.add("whole", package.network())
    manifest = package.manifest

    def answer(image: np.ndarray) -> np.ndarray:
        (source,), (output,) = manifest.input_names, manifest.output_names
        logits = engine.run("whole", {source: image[np.newaxis]}, [output])[output][0]
        exponents = np.exp(logits - logits.max())
        return np.asarray(exponents / exponents.sum())

    return answer
