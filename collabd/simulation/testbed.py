"""Both daemons as processes in a scratch directory, connected by a relay. Demonstrations and tests use it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from collab_sdk import AsyncClient, DaemonUnavailable, DeadlineExceeded
from collab_sdk.vocabulary import CompanionState
from collabd.simulation.relay import Relay

COLLABD = (sys.executable, "-m", "collabd")
_HOST = "127.0.0.1"
_STOP_S = 15.0
# A slow machine measures the networks for many minutes.
_READY_S = 3600.0
_POLL_S = 0.1
# A program that becomes the daemon. sd_listen_fds(3) wants the process id of the daemon, which only this program knows.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


class Testbed:
    """Both daemons run inside a `with` block.

    `models`: the folder models/ of the checkout, or any folder of package directories. Three parameters add TOML to the
    configurations: `settings` to the device's file, `companion_settings` to the companion's table in that file, and
    `cloud_settings` to the companion's file, starting in its table `[server]`. `device`: the command that starts the
    device's daemon, to which its configuration is added. `environment`: environment variables that both daemons get.
    `activated`: the test bed holds the device's socket open, as systemd does. The socket then outlives the daemon, and
    new calls wait.
    """

    __test__ = False  # pytest takes every class whose name starts so for tests

    def __init__(
        self,
        models: Path,
        directory: Path,
        *,
        device: Sequence[str] = COLLABD,
        settings: str = "",
        companion_settings: str = "",
        cloud_settings: str = "",
        environment: Mapping[str, str] | None = None,
        activated: bool = False,
    ) -> None:
        self.directory = directory
        self.socket = directory / "collabd.sock"
        self.cloud_port = free_port()
        self.relay_port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._device = device
        self._environment = dict(environment or {})
        self._held = _listener(self.socket) if activated else None
        self._write_configurations(
            _packages(models, directory),
            settings=settings,
            companion_settings=companion_settings,
            cloud_settings=cloud_settings,
        )

    def relay(self) -> Relay:
        """The link between the two daemons. Enter its context before the daemons start."""
        return Relay((_HOST, self.relay_port), (_HOST, self.cloud_port))

    def __enter__(self) -> Self:
        self.start_cloud()
        self.start_device()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._held is not None:
            self._held.close()

    def start_cloud(self) -> None:
        """Start the companion."""
        self._start("cloud", (sys.executable, "-m", "collabd.cloud"), "collab-cloudd.toml")

    def start_device(self) -> None:
        """Start the device daemon."""
        self._start("device", self._device, "collabd.toml")

    def kill_cloud(self) -> None:
        """Kill the companion, so that it cannot say goodbye."""
        self._kill("cloud")

    def kill_device(self) -> None:
        """Kill the device daemon, so that it cannot say goodbye."""
        self._kill("device")

    def stop_cloud(self) -> None:
        """Tell the companion to stop. It first answers the calls that are under way."""
        self._stop("cloud")

    def stop_device(self) -> None:
        """Tell the device daemon to stop. It first answers the calls that are under way."""
        self._stop("device")

    def signal(self, side: str, number: signal.Signals) -> None:
        """Send a signal to "cloud" or "device", for instance to stop, continue or reload it."""
        self._processes[side].send_signal(number)

    def pid(self, side: str) -> int:
        """The process id of "cloud" or "device"."""
        return self._processes[side].pid

    def log(self, side: str) -> str:
        """What "cloud" or "device" logged."""
        return (self.directory / f"{side}.log").read_text()

    async def until_ready(self, client: AsyncClient, *, tell: Callable[[str], object] = lambda _: None) -> None:
        """Wait until the device is profiled, and the companion is up with every package of the device.

        `tell` is called now and then, in another thread, with what the device still does once it answers. Raises
        `DaemonUnavailable` if its daemon has ended.
        """

        def check_and_tell(reason: str) -> None:
            self._check_runs("device")
            tell(reason)

        await client.wait(_READY_S, tell=lambda _: self._check_runs("device"))
        await client.wait(_READY_S, profiled=True, tell=check_and_tell)
        await self.until_cloud_is_up(client, _READY_S)

    async def until_cloud_is_up(self, client: AsyncClient, timeout_s: float = 300.0) -> None:
        """Wait until the device sees the companion as up, with every package of the device.

        Raises `DaemonUnavailable` if the companion's daemon has ended, `DeadlineExceeded`.
        """
        deadline = time.monotonic() + timeout_s
        while not await _is_up(client):
            self._check_runs("cloud")
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"the companion is not up after {timeout_s:g} s:\n{self.log('cloud')[-2000:]}")
            await asyncio.sleep(_POLL_S)

    def _check_runs(self, side: str) -> None:
        if self._processes[side].poll() is not None:
            raise DaemonUnavailable(f"the daemon {side!r} has ended. It said: {self.log(side)[-2000:]}")

    def _start(self, side: str, program: Sequence[str], configuration: str) -> None:
        command = [*program, "--config", str(self.directory / configuration)]
        environment = os.environ | {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory)}
        environment |= self._environment
        handed: tuple[int, ...] = ()
        if side == "device" and self._held is not None:
            handed = (self._held.fileno(),)
            command = [sys.executable, "-c", _HAND_OVER, str(handed[0]), *command]
        with (self.directory / f"{side}.log").open("ab") as log:
            self._processes[side] = subprocess.Popen(  # noqa: S603
                command, stdout=log, stderr=log, env=environment, pass_fds=handed
            )

    def _kill(self, side: str) -> None:
        self._processes[side].kill()
        self._processes[side].wait()

    def _stop(self, side: str) -> None:
        self._processes[side].terminate()
        self._processes[side].wait()

    def _write_configurations(
        self, packages: Path, *, settings: str, companion_settings: str, cloud_settings: str
    ) -> None:
        roots = f'roots = ["{self.directory}/{{side}}/models", "{packages}"]'
        (self.directory / "collab-cloudd.toml").write_text(
            f'state_dir = "{self.directory}/cloud"\n'
            f"[models]\n{roots.format(side='cloud')}\n"
            f'[server]\nhost = "{_HOST}"\nport = {self.cloud_port}\n'
            f"{cloud_settings}\n"
        )
        (self.directory / "collabd.toml").write_text(
            f'state_dir = "{self.directory}/device"\n'
            f"[models]\n{roots.format(side='device')}\n"
            f'[server]\nsocket = "{self.socket}"\n'
            f"{settings}\n"
            f'[[clouds]]\nname = "companion"\nurl = "http://{_HOST}:{self.relay_port}"\n'
            "price_per_gb = 0.1\nprice_per_second = 0.0001\n"
            f"{companion_settings}\n"
        )


async def _is_up(client: AsyncClient) -> bool:
    status = await client.status()
    ours = {model["digest"] for model in status["models"]}
    return all(cloud["state"] == CompanionState.UP and ours <= set(cloud["packages"]) for cloud in status["clouds"])


def _packages(models: Path, directory: Path) -> Path:
    """A folder of package directories. In the checkout each package lies in the folder of its network's definition."""
    if not any(models.glob("*/package/package.json")):
        return models.resolve()
    root = directory / "packages"
    root.mkdir()
    for manifest in models.resolve().glob("*/package/package.json"):
        (root / manifest.parents[1].name).symlink_to(manifest.parent)
    return root


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return listener


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
