"""Announcements over real multicast, in a namespace of one machine. tests/system has the daemons and two machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_INTERFACE = (
    "ip link set lo up && ip link add lan type veth peer name far && ip link set far up && "
    'ip address add 192.0.2.2/24 dev lan && ip link set lan up && exec "$@"'
)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip"))), reason="a network namespace needs root and ip"
)


def in_a_namespace(setup: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", setup, "sh", *command],  # noqa: S607
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'sdk'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_companion_is_heard_where_it_is_and_no_longer_once_it_withdraws() -> None:
    done = in_a_namespace(_INTERFACE, sys.executable, str(Path(__file__).with_name("scene.py")))
    assert done.returncode == 0, done.stderr
    scene = json.loads(done.stdout)
    assert scene.pop("networks")[0] == "192.0.2.0/24"
    assert scene == {
        "announced": ["http://192.0.2.2:8470"],
        "without an address": [],
        "moved": ["http://192.0.2.9:8470"],
        "to who listens later": ["http://192.0.2.9:8470"],
        "withdrawn": [],
    }


def test_in_a_network_of_none_nothing_is_found_and_that_is_no_error() -> None:
    collabctl = (sys.executable, "-m", "collabd.ctl", "pair", "find")
    done = in_a_namespace('ip link set lo up && exec "$@"', *collabctl, "--config", "/nonexistent", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"companions": []}), done.stderr


def test_without_any_interface_it_is_said_that_nobody_can_be_heard() -> None:
    done = in_a_namespace('exec "$@"', sys.executable, "-m", "collabd.ctl", "pair", "find", "--config", "/nonexistent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("collabctl: cannot listen in the local network: ")


def test_without_the_package_it_is_said_what_to_install() -> None:
    code = "import sys; sys.modules['zeroconf'] = None; from collabd.ctl.__main__ import main; main(['pair', 'find'])"
    done = in_a_namespace('exec "$@"', sys.executable, "-c", code)
    assert (done.returncode, done.stderr) == (
        1,
        "collabctl: pair find needs the package zeroconf: pip install 'collabd[find]'\n",
    )
