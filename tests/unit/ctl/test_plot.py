"""`--plot` of the commands that ask the daemon: the file beside the table, and refusals before anything is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run

COMMANDS = [("profile", "net"), ("explain",), ("explain", "--last", "7")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_picture_is_drawn_beside_the_table(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    picture = tmp_path / "plans.png"
    assert "features.2" in run(*command, "--plot", picture).stdout
    with Image.open(picture) as drawn:
        assert len({pixel for _, pixel in drawn.convert("RGB").getcolors(2**20) or ()}) > 10


def test_an_svg_by_its_ending(run: Run, tmp_path: Path) -> None:
    run("explain", "--plot", tmp_path / "plans.svg")
    assert "<svg" in (tmp_path / "plans.svg").read_text()


def test_several_calls(run: Run, daemon: LittleDaemon, tmp_path: Path) -> None:
    (decision,) = daemon.answers["GET /collab/v1/explain"]["decisions"]
    other = decision | {"model": "detector", "predicted_ms": None, "candidates": []}
    daemon.answers["GET /collab/v1/explain"]["decisions"] += [decision, other]
    assert run("explain", "--last", "3", "--plot", tmp_path / "calls.png").exit_code == 0
    assert (tmp_path / "calls.png").stat().st_size > 5000


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["plans.unknown", "missing/plans.png"])
def test_a_file_that_cannot_be_written_is_refused_before_the_daemon_is_asked(
    run: Run, daemon: LittleDaemon, tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    said = run(*command, "--plot", tmp_path / name)
    assert said.exit_code == 1
    assert name.split("/", maxsplit=1)[0] in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert daemon.asked == []


def test_matplotlib_is_not_imported_for_a_table(tmp_path: Path) -> None:
    code = "import sys, collabd.ctl.__main__; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
