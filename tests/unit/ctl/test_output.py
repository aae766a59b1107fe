"""How reports look in a pipe and in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collab_sdk.result import Result

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def in_terminal(daemon: LittleDaemon, *words: str, columns: int) -> str:
    """What a terminal of so many columns shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "collabd.ctl", "--socket", str(daemon.path), *words]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "LINES")}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment | {"TERM": "xterm-256color"})
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(ours)
    assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("words", [["status"], ["profile", "net"], ["models", "show", "net"], ["config"]], ids=" ".join)
def test_a_pipe_gets_whole_lines_without_colours(run: Run, words: list[str]) -> None:
    lines = run(*words).stdout.splitlines()
    assert not any("\x1b" in line or "…" in line or line != line.rstrip() for line in lines)


def test_a_long_name_is_whole_in_a_pipe(daemon: LittleDaemon, run: Run) -> None:
    name = "features." * 40 + "relu"
    daemon.answers["GET /collab/v1/models/net"]["layers"][0]["name"] = name
    assert name in run("models", "show", "net").stdout


def test_names_are_no_markup(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/models/net"]["layers"][0]["name"] = "[bold]:smile:[/bold]"
    assert "[bold]:smile:[/bold]" in run("models", "show", "net").stdout


ESCAPES = "\x1b]0;mine\x07\x1b[2Jall is well\n[red]\x9b31m\u202e"


@pytest.mark.parametrize(
    "words", [["status"], ["models", "show", "net"], ["explain"], ["infer", "cat.jpg"]], ids=" ".join
)
def test_no_text_of_a_report_reaches_the_terminal_raw(
    daemon: LittleDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.jpg").write_bytes(b"a picture")
    daemon.answers["GET /collab/v1/status"]["clouds"][1]["problem"] = ESCAPES
    daemon.answers["GET /collab/v1/models/net"]["layers"][0] |= {"name": ESCAPES, "op": ESCAPES}
    daemon.answers["GET /collab/v1/explain"]["decisions"][0]["why"] = ESCAPES
    daemon.answers["GET /v2/models/net"]["parameters"]["labels"] = [ESCAPES] * 3
    (answered,) = daemon.results
    daemon.results = [Result(**(vars(answered) | {"why": ESCAPES, "degraded": True}))]
    shown = COLOURS.sub("", in_terminal(daemon, *words, columns=200))
    assert "all is well; [red]31m" in shown
    assert not set("\x1b\x07\x9b\u202e") & set(shown)


def test_a_file_name_reaches_no_terminal_raw(daemon: LittleDaemon, run: Run, tmp_path: Path) -> None:
    missing, there = tmp_path / "\x1b[2Jgone.jpg", tmp_path / "\x1b[2Jcat.jpg"
    there.write_bytes(b"a picture")
    ran = run("infer", missing, there)
    assert "gone.jpg" in ran.stderr
    assert "cat.jpg" in ran.stdout
    assert "\x1b" not in ran.stderr + ran.stdout


@pytest.mark.parametrize("words", [["profile", "net"], ["models", "show", "net"], ["config"]], ids=" ".join)
def test_a_terminal_of_100_columns_is_wide_enough(daemon: LittleDaemon, run: Run, words: list[str]) -> None:
    shown = COLOURS.sub("", in_terminal(daemon, *words, columns=100))
    assert [line.rstrip() for line in shown.splitlines()] == run(*words).stdout.splitlines()


def test_a_narrow_terminal_folds_and_loses_nothing(daemon: LittleDaemon) -> None:
    shown = COLOURS.sub("", in_terminal(daemon, "status", columns=100)).splitlines()
    assert max(map(len, shown)) <= 100
    assert not any("…" in line for line in shown)


def test_a_terminal_gets_colours(daemon: LittleDaemon) -> None:
    (chosen,) = (line for line in in_terminal(daemon, "profile", "net", columns=100).splitlines() if "chosen" in line)
    assert COLOURS.search(chosen)
