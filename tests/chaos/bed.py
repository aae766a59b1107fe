"""Both daemons as two machines would be: a core each, state on small disks of their own, keys, clocks that can be set.

The clocks are set by a library of our own, preloaded: libfaketime 0.9.10, told to leave the monotonic clock alone,
makes every sleep by that clock fail.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from collabd.atomic_file import replace_file
from collabd.keys.tokens import line, new_token
from collabd.simulation.testbed import Testbed
from tests.slowed import slowed_collabd

# The device is made slower than its companion, so that the companion is worth using.
SLOWDOWN = 4.0
DEVICE_CORE, COMPANION_CORE = 0, (os.cpu_count() or 1) - 1
_DISK_MB = 24
_THREADS = "[engine]\nthreads = 1\n"
# Beside the configurations.
_COMPANIONS_KEYS, _DEVICES_KEY = "tokens", "token"
SIDES = ("cloud", "device")


class ChaosBed(Testbed):
    """`disks`: where tmpfs are mounted as state directories; `clock`: the file that says how far the clocks are off."""

    def __init__(self, packages: Path, directory: Path) -> None:
        self.clock = directory / "clock"
        self.set_clocks(0)
        environment = self._preloaded(directory / "clock.so")
        self.token = new_token()
        super().__init__(
            packages,
            directory,
            device=slowed_collabd(SLOWDOWN),
            settings=_THREADS,
            companion_settings=f'token_file = "{_DEVICES_KEY}"',
            cloud_settings=f'token_file = "{_COMPANIONS_KEYS}"\n{_THREADS}',
            environment=environment,
            activated=True,
        )
        self._write_companions_keys()
        self._write_devices_key()

    @property
    def disks(self) -> list[Path]:
        """The state directories."""
        return [self.directory / side for side in SIDES]

    def start_cloud(self) -> None:
        """Start it, and keep it on its core."""
        super().start_cloud()
        psutil.Process(self.pid("cloud")).cpu_affinity([COMPANION_CORE])

    def start_device(self) -> None:
        """Start it, and keep it on its core."""
        super().start_device()
        psutil.Process(self.pid("device")).cpu_affinity([DEVICE_CORE])

    def without(self) -> dict[str, str]:
        """The faults that this machine cannot have, and why."""
        found = {}
        if "LD_PRELOAD" not in self._environment:
            found["clocks stepped"] = "no C compiler (cc)"
        if not all(disk.is_mount() for disk in self.disks):
            found["disks full"] = "no tmpfs can be mounted (not root?)"
        return found

    def rekey_cloud(self) -> None:
        """Give the device another token, which so far only the companion knows. The companion must run."""
        self.token = new_token()
        self._write_companions_keys()
        self.signal("cloud", signal.SIGHUP)

    def rekey_device(self) -> None:
        """Let the device know its token too. It must run."""
        self._write_devices_key()
        self.signal("device", signal.SIGHUP)

    def set_clocks(self, seconds: int) -> None:
        """From now on, set the wall clocks of both daemons off by this much."""
        # The daemons have the file mapped, so it is overwritten and not replaced.
        with self.clock.open("r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    def _write_companions_keys(self) -> None:
        replace_file(self.directory / _COMPANIONS_KEYS, line("device", self.token).encode())

    def _write_devices_key(self) -> None:
        replace_file(self.directory / _DEVICES_KEY, self.token.encode())

    def _preloaded(self, library: Path) -> dict[str, str]:
        compiler = shutil.which("cc")
        if compiler is None:
            return {}
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source, "-ldl"], check=True)
        return {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self.clock)}


@contextmanager
def small_disks(bed: ChaosBed) -> Iterator[None]:
    """A tmpfs each for the state directories, as far as we may mount; to be entered before the daemons start."""
    with ExitStack() as undo:
        for disk in bed.disks:
            disk.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(disk)]
            try:
                subprocess.run(mount, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                break
            undo.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        yield
