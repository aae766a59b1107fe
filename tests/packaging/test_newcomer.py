"""The way of docs/start.md from a checkout to boxes on a photograph, and to a second machine that answers.

The second machine is a network namespace, which needs root. Its packages come from `make wheels`, since it reaches
nobody but the Pi. How long each part took is printed (`pytest -rA`): the page says it, and nothing asserts it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.newcomer import following
from tests.pages import CHECKOUT, block

pytestmark = pytest.mark.packaging
_MADE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
_PHOTO = "models/samples/objects/wine.jpg"
_THERE = "10.78.0.2"
_PAGE = "docs/start.md"
_SPLIT = "echo; echo second part at $(date +%s)"


@pytest.fixture
def second_machine() -> Iterator[str]:
    """The name of a network namespace at `_THERE`, which sees this machine alone."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and iproute2")
    name = f"collabd-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)  # noqa: S607
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr}")
    try:
        for command in (
            f"link add {name[:12]}a type veth peer name {name[:12]}b netns {name}",
            f"address add 10.78.0.1/24 dev {name[:12]}a",
            f"link set {name[:12]}a up",
            f"-n {name} address add {_THERE}/24 dev {name[:12]}b",
            f"-n {name} link set {name[:12]}b up",
            f"-n {name} link set lo up",
            f"-n {name} route add default via 10.78.0.1",
        ):
            subprocess.run(["ip", *command.split()], check=True)  # noqa: S607
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)  # noqa: S607


def checkout(folder: Path, name: str) -> tuple[Path, Path]:
    """A copy of the checkout for one machine, and the home of its user."""
    shutil.copytree(CHECKOUT, folder / name, ignore=_MADE)
    (folder / f"home-{name}").mkdir()
    return folder / name, folder / f"home-{name}"


def await_port(host: str, port: int) -> None:
    """Wait until somebody listens there."""
    for _ in range(600):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens at {host}:{port}")


def test_boxes_are_drawn_and_then_a_second_machine_answers(second_machine: str, tmp_path: Path) -> None:
    subprocess.run(["make", "--silent", "wheels"], cwd=CHECKOUT, check=True, timeout=1500)  # noqa: S607
    pi, pi_home = checkout(tmp_path, "pi")
    pc, pc_home = checkout(tmp_path, "pc")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(CHECKOUT / "build/wheels"), "PIP_CONFIG_FILE": os.devnull}
    start = time.time()
    with following(
        block("# On the second machine", _PAGE),
        pc,
        pc_home,
        within=["ip", "netns", "exec", second_machine],
        more=offline,
        within_s=1500,
    ):
        print(f"second machine: {time.time() - start:.0f} s, from wheels at hand")
        await_port(_THERE, 8470)
        shutil.copy(pc / "pi.pair", pi)
        script = (
            f"{block('# On the Pi: from a checkout', _PAGE)}\n{_SPLIT}\n{block('# On the Pi, with pi.pair', _PAGE)}"
        )
        start = time.time()
        with following(script, pi, pi_home, within_s=1500) as newcomer:
            first, _, second = newcomer.said.partition("second part at ")
            between = float(second.split()[0])
            print(f"boxes after {between - start:.0f} s; second machine after {time.time() - between:.0f} s more")
            assert "wine glass" in first
            assert "wine glass" in second
            assert re.search(r"^ran +82 layers on ", second, re.MULTILINE)
            assert "https://10.78.0.2:8470" in newcomer.run("venv/bin/collabctl", "status").stdout
            with Image.open(pi / "boxes.png") as drawn, Image.open(CHECKOUT / _PHOTO) as photo:
                assert drawn.size == photo.size
    assert not (pi / "pi.pair").exists()
