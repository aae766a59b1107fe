"""The daemons on either side of the emulation: those installed in the root, as their units say, and this checkout's."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STOP_S = 60.0


class Daemons:
    """Processes that end with it, and what they log, in a folder."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()

    def start(self, name: str, command: Iterable[str | Path]) -> None:
        """Start a daemon; it is not ready yet."""
        log = self._processes.enter_context((self._logs / f"{name}.log").open("wb"))
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._processes.callback(_stop, process)


class Root:
    """An arm64 root that the product was installed into; `source` is the checkout in it."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._source = source

    def command(self, *arguments: str, user: str = "root", environment: Iterable[str] = ()) -> list[str]:
        """What runs a program in it, in the checkout."""
        uid, gid = self._ids(user)
        change = ["chroot", f"--userspec={uid}:{gid}", str(self.path), "/usr/bin/env", "-i", "-C", self._source]
        usual = (f"PATH={_PATH}", "LANG=C.UTF-8", f"QEMU_CPU={os.environ['QEMU_CPU']}")
        return [*change, *usual, *environment, *arguments]

    def output(self, *arguments: str) -> str:
        """What a program in it prints. Raises `CalledProcessError`."""
        return subprocess.run(self.command(*arguments), check=True, capture_output=True, text=True).stdout

    def service(self, unit: str) -> list[str]:
        """What starts a service as systemd would: its user, its command, a new state directory; without the sandbox."""
        settings = self._settings(unit)
        user, state = settings["User"], f"/var/lib/{settings['StateDirectory']}"
        shutil.rmtree(self.path / state[1:], ignore_errors=True)
        for folder in (state, f"/run/{user}"):
            (self.path / folder[1:]).mkdir()
            os.chown(self.path / folder[1:], *self._ids(user))
        environment = (settings["Environment"], f"STATE_DIRECTORY={state}", f"HOME={state}", "XDG_RUNTIME_DIR=/run")
        return self.command(*settings["ExecStart"].split(), user=user, environment=environment)

    def python(self) -> str:
        """The interpreter that the services run on."""
        return self._settings("collabd")["ExecStart"].split()[0]

    def _settings(self, unit: str) -> configparser.SectionProxy:
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(self.path / f"usr/local/lib/systemd/system/{unit}.service")
        return parser["Service"]

    def _ids(self, user: str) -> tuple[int, int]:
        lines = (self.path / "etc/passwd").read_text().splitlines()
        fields = next(line.split(":") for line in lines if line.startswith(f"{user}:"))
        return int(fields[2]), int(fields[3])


def native(module: str, configuration: Path) -> list[str | Path]:
    """What starts one of this checkout's daemons on this machine."""
    return [sys.executable, "-m", module, "--config", configuration]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
