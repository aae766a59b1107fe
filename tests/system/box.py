"""A throw-away machine: this one's root under an overlay, with the installed systemd as its init."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S, PROGRAM_S

SYSTEMD = Path("/lib/systemd/systemd")
CHECKOUT = Path(__file__).parents[2]
BOOT = Path(__file__).with_name("boot.sh")
# s. A command has so long; one that takes longer has failed.
_RUN_S = 500
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")


class CannotBoot(Exception):
    """No box can be had on this machine."""


@dataclass(frozen=True)
class Box:
    """A booted machine. `init` is the process of its systemd, seen from outside."""

    init: int

    def command(self, *argv: str, user: str | None = None) -> list[str]:
        """The command for this machine that runs `argv` in the box, as root or as `user`."""
        inside = ["nsenter", f"--target={self.init}", *_NAMESPACES, "--root", "--wdns=/"]
        if user is not None:
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
        return [*inside, *argv]

    def run(self, *argv: str, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        # In the box: if only nsenter ended, what it started would keep the pipes open.
        command = self.command("timeout", "--kill-after=10", str(_RUN_S), *argv, user=user)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_S + 60, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file, and the directories above it."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def path(self, path: str) -> Path:
        """The path on this machine of a path in the box."""
        return Path(f"/proc/{self.init}/root{path}")

    def show(self, unit: str, key: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={key}", unit).stdout.strip()

    def journal(self, *matches: str, since: float = 0.0) -> list[dict[str, Any]]:
        """The entries that match, from a time on (`time.time`), oldest first."""
        found = self.run("journalctl", "--output=json", "--all", f"--since=@{since:.6f}", *matches).stdout
        return [json.loads(line) for line in found.splitlines()]


@contextmanager
def booted() -> Iterator[Box]:
    """A box, until the context is left. Raises `CannotBoot`."""
    if os.geteuid() != 0:
        raise CannotBoot("booting a box needs root")
    missing = [tool for tool in ("unshare", "nsenter", "setpriv", "ip", "tc") if shutil.which(tool) is None]
    if missing or not SYSTEMD.exists():
        raise CannotBoot(f"not installed: {', '.join(missing) or 'systemd'}")
    work = Path(tempfile.mkdtemp(prefix="collabd-box-", dir="/var/tmp"))
    (work / "machine").mkdir()
    console = work / "console"
    with console.open("w") as said:
        outer = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", *_NAMESPACES, "sh", BOOT, work / "machine", CHECKOUT],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield _up(outer, console)
    finally:
        outer.kill()
        outer.wait(PATIENCE_S)
        shutil.rmtree(work)


def _up(outer: subprocess.Popen[bytes], console: Path) -> Box:
    """Wait until its systemd has nothing more to start."""
    for _ in range(int(PROGRAM_S / 0.1)):
        if outer.poll() is not None:
            raise CannotBoot(f"the box does not boot: {console.read_text()}")
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n":
            box = Box(int(children[0]))
            if box.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}:
                return box
        time.sleep(0.1)
    raise CannotBoot(f"the box did not finish to boot in {PROGRAM_S:.0f} s")
