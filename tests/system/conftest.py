"""The box, with `make install` run in it once, and each test's own start from a clean slate."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S, PROGRAM_S
from tests.said import Said
from tests.system.box import CHECKOUT, Box, CannotBoot, booted

PYTHON = "/usr/local/lib/collabd/venv/bin/python"
_CALLER = Path(__file__).with_name("caller.py").read_text()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


@dataclass
class Callers:
    """What applications saw that called without a pause."""

    answered: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    different: int = 0
    longest_s: float = 0.0
    plans: list[str] = field(default_factory=list)


@dataclass
class Service:
    """A unit of the box, and its configuration."""

    box: Box
    unit: str
    file: str

    def configure(self, text: str) -> None:
        """Replace its configuration file."""
        self.box.write(self.file, text)

    def drop_in(self, text: str) -> None:
        """Change its unit."""
        self.box.write(f"/run/systemd/system/{self.unit}.d/test.conf", text)
        self.box.run("systemctl", "daemon-reload")

    def slow_down(self, factor: float, more: str = "") -> None:
        """Slow down the lane of collabd. `more`: of the unit's section [Service]."""
        command = f"{PYTHON} -I /run/checkout/tests/slowed.py {factor}"
        self.drop_in(f"[Service]\nExecStart=\nExecStart={command}\n{more}")

    def systemctl(self, verb: str, *, check: bool = True) -> int:
        """`systemctl VERB`; returns the exit status, or raises it with what the journal has to say."""
        code = self.box.run("systemctl", verb, self.unit, check=False).returncode
        if check and code:
            raise AssertionError(self.box.run("journalctl", f"--unit={self.unit}", "--lines=30").stdout)
        return code

    def show(self, key: str) -> str:
        """One property."""
        return self.box.show(self.unit, key)

    def pid(self) -> int:
        """Its main process, as the box counts; 0: it does not run."""
        return int(self.show("MainPID"))

    def signal(self, name: str) -> None:
        """Send its main process a signal."""
        self.box.run("systemctl", "kill", "--kill-whom=main", f"--signal={name}", self.unit)

    def until(self, key: str, part: str) -> None:
        """Wait until a property has this in its value."""
        for _ in range(int(PROGRAM_S / 0.05)):
            if part in (value := self.show(key)):
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.unit}: {key} is {value!r}, without {part!r}")

    def until_restarted(self, pid: int) -> float:
        """Wait until another process than `pid` is ready; returns when it was, on `time.monotonic`'s clock."""
        for _ in range(int(PROGRAM_S / 0.05)):
            if self.show("ActiveState") == "active" and self.pid() not in {0, pid}:
                return int(self.show("ActiveEnterTimestampMonotonic")) / 1e6
            time.sleep(0.05)
        raise AssertionError(f"{self.unit} was not restarted")

    def clean(self) -> None:
        """Stopped, with the shipped configuration and unit."""
        sockets = [self.unit.replace(".service", ".socket")] if self.unit == "collabd.service" else []
        self.box.run("systemctl", "stop", self.unit, *sockets)
        self.box.path(f"/run/systemd/system/{self.unit}.d/test.conf").unlink(missing_ok=True)
        self.configure((CHECKOUT / "etc" / Path(self.file).name).read_text())
        self.box.run("systemctl", "daemon-reload")
        self.box.run("systemctl", "reset-failed")


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    try:
        with booted() as it:
            subprocess.run(["make", "--silent", "wheels"], cwd=CHECKOUT, check=True, timeout=600)  # noqa: S607
            it.run("make", "--silent", "--directory=/run/checkout", "install", "ROLE=both")
            it.run("useradd", "--groups=collab", "ada")
            it.run("useradd", "bob")
            yield it
    except CannotBoot as reason:
        pytest.skip(str(reason))


@pytest.fixture
def device(box: Box) -> Iterator[Service]:
    """collabd, not started."""
    service = Service(box, "collabd.service", "/etc/collabd/collabd.toml")
    service.clean()
    yield service
    service.clean()


@pytest.fixture
def companion(box: Box) -> Iterator[Service]:
    """collab-cloudd, not started."""
    service = Service(box, "collab-cloudd.service", "/etc/collabd/collab-cloudd.toml")
    service.clean()
    yield service
    service.clean()


def ended(process: subprocess.Popen[str]) -> str:
    """What it prints until its end. Kills one that does not come to it."""
    try:
        return process.communicate(timeout=PROGRAM_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@contextmanager
def one_call(
    box: Box, model: str, side: int, *, user: str = "ada", timeout_s: float = PATIENCE_S
) -> Iterator[subprocess.Popen[str]]:
    """A call for an image, under way; prints what comes of it as JSON, or dies with the context."""
    code = Path(__file__).with_name("one_call.py").read_text()
    command = box.command(PYTHON, "-I", "-c", code, model, str(side), str(timeout_s), user=user)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            box.run("pkill", "--uid", user, check=False)  # one that is not answered yet


def infer(box: Box, model: str, side: int, *, user: str = "ada", timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    """What comes of one call: `scores` and `ran`, or the code of an `error`."""
    with one_call(box, model, side, user=user, timeout_s=timeout_s) as process:
        printed = ended(process)
    found: dict[str, Any] = json.loads(printed)
    return found


@contextmanager
def calling(box: Box, budget: str = "", count: int = 4) -> Iterator[Callers]:
    """Applications that call without a pause while the context lasts; afterwards the report is filled in."""
    report = Callers()
    command = box.command(PYTHON, "-I", "-c", _CALLER, str(count), budget, user="ada")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = Said(process.stdout)
            said.until("all call\n")
            assert said.text == "all call\n"
            yield report
        finally:
            printed = ended(process)
    assert process.returncode == 0
    vars(report).update(json.loads(printed))
