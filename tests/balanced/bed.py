"""Three companions behind HAProxy, and a device that knows only the balancer: real daemons, keys and TLS all the way.

HAProxy runs with the configuration that we ship; only its names, paths and the pace of its checks are changed.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from collab_sdk import AsyncClient
from collabd.atomic_file import replace_file
from collabd.ctl.pair import certificates
from collabd.keys.tokens import line, new_token
from collabd.simulation.testbed import free_port
from tests.pages import CHECKOUT
from tests.patience import PATIENCE_S, PROGRAM_S
from tests.slowed import slowed_collabd

CONFIGURATION = CHECKOUT / "packaging/haproxy/haproxy.cfg"
COMPANIONS = ("one", "two", "three")
_HOST = "127.0.0.1"
# The device is so much slower than a companion that companions are worth using.
_SLOWDOWN = 4.0
# Of a tenth of a second, a companion that is slowed has so much.
_AWAKE_S, _ASLEEP_S = 0.03, 0.07


def haproxy() -> str | None:
    """Where the program is; None: it is not installed."""
    return shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")


def located(configuration: str, bind: int, ports: Sequence[int], keys: Path) -> str:
    """The shipped configuration on this machine: the balancer and the companions at these ports, keys in a folder."""
    servers = "\n".join(f"    server {name} {_HOST}:{port}" for name, port in zip(COMPANIONS, ports, strict=True))
    text = re.sub(r"(?:    server .+\n?)+", f"{servers}\n", configuration)
    return text.replace("bind :8470", f"bind {_HOST}:{bind}").replace("/etc/haproxy", str(keys))


class BalancedBed:
    """`packages`: a folder of package directories, which only the device has. Companions get them by pushing.

    `drain_s` is that of the companions; HAProxy looks at them every `check_s`.
    """

    def __init__(self, packages: Path, directory: Path, *, drain_s: float, check_s: float) -> None:
        program = haproxy()
        assert program is not None
        self._haproxy = program
        self.directory = directory
        self.socket = directory / "collabd.sock"
        self.store = directory / "shared/packages"
        self.tokens = directory / "shared/tokens"
        self.port, *self._ports = (free_port() for _ in range(1 + len(COMPANIONS)))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._write_keys()
        self._write_balancer(check_s)
        for name, port in zip(COMPANIONS, self._ports, strict=True):
            self._write_companion(name, port, drain_s)
        self._write_device(packages)

    async def __aenter__(self) -> Self:
        for name in COMPANIONS:
            self.start(name)
        # Until the first look at them HAProxy takes them for there.
        for name in COMPANIONS:
            await self._logged(name, "listening on")
        self._run("haproxy", [self._haproxy, "-db", "-f", str(self.directory / "haproxy.cfg")])
        self._run("device", [*slowed_collabd(_SLOWDOWN), "--config", str(self.directory / "collabd.toml")])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            for process in self._processes.values():
                undo.callback(process.wait)
                undo.callback(process.kill)
            device = self._processes.get("device")
            if device is not None:
                device.terminate()
                await asyncio.to_thread(device.wait, PATIENCE_S)

    def start(self, name: str) -> None:
        """Start the companion of this name."""
        self._happened = self._so_far()
        self._run(name, [sys.executable, "-m", "collabd.cloud", "--config", str(self.directory / f"{name}.toml")])

    def kill(self, name: str) -> None:
        """Kill a companion, so that it cannot say goodbye."""
        self._happened = self._so_far()
        self._processes[name].kill()
        self._processes[name].wait()

    def stop(self, name: str) -> None:
        """Tell a companion to stop, as `systemctl stop` does."""
        self._happened = self._so_far()
        self._processes[name].terminate()

    async def gone(self, name: str) -> int:
        """Wait until a companion has ended; its exit status."""
        return await asyncio.to_thread(self._processes[name].wait, PATIENCE_S)

    async def shut_out(self) -> None:
        """Take the device's key from the list that the companions share, and wait until each has seen that."""
        replace_file(self.tokens, line("another", new_token()).encode(), mode=0o600)
        for name in COMPANIONS:
            await self._logged(name, "the key files changed, and are in force")

    async def up(self, name: str) -> None:
        """Wait until HAProxy sends requests to a companion, after the last that happened to one."""
        await self._logged("haproxy", f"Server companions/{name} is UP", since=self._happened)

    async def down(self, name: str) -> None:
        """Wait until HAProxy sends no requests to a companion, after the last that happened to one."""
        await self._logged("haproxy", f"Server companions/{name} is DOWN", since=self._happened)

    @contextmanager
    def slowed(self, name: str) -> Iterator[None]:
        """A companion that gets three tenths of the time."""
        process = psutil.Process(self._processes[name].pid)
        slowing = asyncio.create_task(_pulse(process))
        try:
            yield
        finally:
            slowing.cancel()
            process.send_signal(signal.SIGCONT)

    async def until_ready(self, client: AsyncClient) -> None:
        """Wait until the device is profiled, and has what it needs on its one companion."""
        await client.wait(PROGRAM_S, profiled=True)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                status = await client.status()
                ours = {model["digest"] for model in status["models"]}
                if all(ours <= set(cloud["packages"]) for cloud in status["clouds"]):
                    return
                await asyncio.sleep(0.1)

    async def until_problem(self, client: AsyncClient, problem: str) -> None:
        """Wait until the device says that this is wrong with its one companion."""
        async with asyncio.timeout(PATIENCE_S):
            while problem not in ((await client.status())["clouds"][0]["problem"] or ""):  # noqa: ASYNC110  asked of another process
                await asyncio.sleep(0.05)

    def log(self, name: str) -> str:
        """What a program logged: one of the companions, "haproxy" or "device"."""
        return (self.directory / f"{name}.log").read_text()

    def _so_far(self) -> int:
        return len(self.log("haproxy")) if "haproxy" in self._processes else 0

    async def _logged(self, name: str, text: str, *, since: int = 0) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.log(name)[since:]:  # noqa: ASYNC110  another process writes it
                await asyncio.sleep(0.05)

    def _run(self, name: str, command: Sequence[str]) -> None:
        home = {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory)}
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | home)

    def _write_keys(self) -> None:
        authority = certificates.authority("companions")
        server = certificates.server(authority, "companions", [_HOST])
        token = new_token()
        self.store.mkdir(parents=True)
        keys = {
            self.directory / "ca.crt": authority.certificate,
            self.directory / "server.crt": server.certificate,
            self.directory / "server.key": server.key,
            self.directory / "collabd.pem": server.certificate + server.key,
            self.directory / "token": token.encode(),
            self.tokens: line("pi", token).encode(),
        }
        for path, content in keys.items():
            path.write_bytes(content)
            path.chmod(0o600)

    def _write_balancer(self, check_s: float) -> None:
        text = located(CONFIGURATION.read_text(), self.port, self._ports, self.directory)
        text = text.replace("inter 1s", f"inter {round(check_s * 1e3)}ms")
        (self.directory / "haproxy.cfg").write_text(text)

    def _write_companion(self, name: str, port: int, drain_s: float) -> None:
        (self.directory / f"{name}.toml").write_text(
            f'state_dir = "{self.directory}/{name}"\n'
            f'[models]\nroots = ["{self.directory}/{name}/models"]\nshared = "{self.store}"\n'
            f'[server]\nhost = "{_HOST}"\nport = {port}\ndrain_s = {drain_s}\ntoken_file = "{self.tokens}"\n'
            'tls_cert = "server.crt"\ntls_key = "server.key"\n'
            "[engine]\nthreads = 1\n"
        )

    def _write_device(self, packages: Path) -> None:
        (self.directory / "collabd.toml").write_text(
            f'state_dir = "{self.directory}/device"\n'
            f'[models]\nroots = ["{self.directory}/device/models", "{packages}"]\n'
            f'[server]\nsocket = "{self.socket}"\n[engine]\nthreads = 1\n'
            f'[[clouds]]\nname = "companions"\nurl = "https://{_HOST}:{self.port}"\n'
            'ca_file = "ca.crt"\ntoken_file = "token"\n'
        )


async def _pulse(process: psutil.Process) -> None:
    while True:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(_ASLEEP_S)
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(_AWAKE_S)
