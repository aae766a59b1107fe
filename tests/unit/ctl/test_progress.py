"""Bars on a terminal, and nothing elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.patience import PROGRAM_S

SHOWS = """
import sys, time
from collabd.ctl import progress
from collabd.ctl.models.loading import tell
with progress.bytes_bar("pulling [net]:1", 1000) as at:
    for come in (100, 600, 1000):
        at(come)
for index in progress.tracked("measuring cuts", range(3)):
    tell(f"cut {index}")
with progress.busy("loading ...") as now:
    now("still loading ...")
print("done")
"""


def shown(**environment: str) -> tuple[str, str]:
    """What appears on the terminal, and what the pipe of standard output gets."""
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
    with subprocess.Popen(
        [sys.executable, "-c", SHOWS],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=variables | {"TERM": "xterm-256color", "COLUMNS": "80"} | environment,
        text=True,
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
        printed, _ = process.communicate(timeout=PROGRAM_S)
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode(), printed


def test_a_terminal_shows_how_far_it_is() -> None:
    screen, printed = shown()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert "pulling [net]:1 " in plain
    assert "1.0/1.0 kB" in plain or "1,000/1,000 bytes" in plain
    assert "3/3" in plain
    assert "still loading ..." in plain
    assert [f"cut {index}" in plain for index in range(3)] == [True] * 3
    assert printed == "done\n"
    assert max(map(len, re.split(r"[\r\n]+", plain))) <= 80


def test_no_colour_means_none() -> None:
    coloured, _ = shown()
    bare, _ = shown(NO_COLOR="1")
    colours = re.compile(r"\x1b\[(?:3|9)[0-9;]*m")
    assert colours.search(coloured)
    assert not colours.search(bare)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_redraw_gets_the_lines_alone(term: str) -> None:
    screen, _ = shown(TERM=term)
    assert screen.splitlines() == ["cut 0", "cut 1", "cut 2"]


def test_a_pipe_gets_nothing_but_the_lines() -> None:
    for forced in ({}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}):
        ran = subprocess.run(
            [sys.executable, "-c", SHOWS],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TERM": "xterm-256color"} | forced,
        )
        assert (ran.stdout, ran.stderr) == ("done\n", "cut 0\ncut 1\ncut 2\n")
