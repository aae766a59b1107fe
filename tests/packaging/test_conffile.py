"""A configuration file through installation, upgrade and removal."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging/conffile.sh"


class Machine:
    """A place with a configuration file in it."""

    def __init__(self, root: Path) -> None:
        self.live, self.beside = root / "etc/x.toml", root / "etc/x.toml.new"
        self._shipped, self._new = root / "share/x.toml", root / "x.toml"

    def install(self, version: str) -> str:
        self._new.write_text(version)
        return self._run("install", self._new, self._shipped, self.live)

    def remove(self) -> str:
        return self._run("remove", self._shipped, self.live)

    def _run(self, *command: str | Path) -> str:
        return subprocess.run([SCRIPT, *command], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    assert machine.install("one") == ""
    assert machine.live.read_text() == "one"
    return machine


def test_an_unchanged_file_is_upgraded_and_removed(machine: Machine) -> None:
    assert machine.install("two") == ""
    assert machine.live.read_text() == "two"
    assert machine.remove() == ""
    assert not machine.live.exists()


def test_a_changed_file_is_kept_with_the_new_one_beside_it(machine: Machine) -> None:
    machine.live.write_text("mine")
    assert "so it stays" in machine.install("two")
    assert machine.live.read_text() == "mine"
    assert machine.beside.read_text() == "two"


def test_a_changed_file_is_left_in_peace_where_nothing_is_new(machine: Machine) -> None:
    machine.live.write_text("mine")
    assert machine.install("one") == ""
    assert machine.live.read_text() == "mine"
    assert not machine.beside.exists()


def test_a_changed_file_outlives_removal(machine: Machine) -> None:
    machine.live.write_text("mine")
    machine.install("two")
    assert "make purge" in machine.remove()
    assert machine.live.read_text() == "mine"
    assert not machine.beside.exists()
    assert "so it stays" in machine.install("three")
    assert machine.live.read_text() == "mine"


def test_a_deleted_file_stays_deleted(machine: Machine) -> None:
    machine.live.unlink()
    machine.install("two")
    assert not machine.live.exists()
