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

from collab_sdk.result import Plan, Result
from tests.patience import PATIENCE_S
from tests.said import Said
from tests.unit.ctl.conftest import a_result

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def in_terminal(socket: Path, *words: str, columns: int) -> str:
    """What a terminal of so many columns shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "collabd.ctl", "--socket", str(socket), *words]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "LINES")}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment | {"TERM": "xterm-256color"})
    os.close(theirs)
    shown = Said(ours).to_the_end()
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    return shown.replace("\r\n", "\n")


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
    daemon: LittleDaemon, socket: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.jpg").write_bytes(b"a picture")
    daemon.answers["GET /collab/v1/status"]["clouds"][1]["problem"] = ESCAPES
    daemon.answers["GET /collab/v1/models/net"]["layers"][0] |= {"name": ESCAPES, "op": ESCAPES}
    daemon.answers["GET /collab/v1/explain"]["decisions"][0] |= {"why": ESCAPES, "answer": ESCAPES}
    daemon.answers["GET /v2/models/net"]["parameters"]["labels"] = [ESCAPES] * 3
    (answered,) = daemon.results
    daemon.results = [Result(**(vars(answered) | {"why": ESCAPES, "degraded": True}))]
    shown = COLOURS.sub("", in_terminal(socket, *words, columns=200))
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
def test_a_terminal_of_100_columns_is_wide_enough(socket: Path, run: Run, words: list[str]) -> None:
    shown = COLOURS.sub("", in_terminal(socket, *words, columns=100))
    assert sorted(shown.split()) == sorted(run(*words).stdout.split())


URL = "https://inference-companion-07.machine-room.campus.example.org:8470"
NAME = "mobilenet_v3_large_imagenet1k_v2_quantized_qdq"
HOST = "inference-companion-07.machine-room"
LAYER = "/features/features.{}/block/block.0/Conv_output_0_quantized"
FILE = "/home/somebody/projects/camera-at-the-door/configuration/collabd.toml"
PATH = "/home/somebody/models/" + NAME
PROBLEM = "the companion refused our key; make another one with `collabctl pair new` there, and add it here"


def lengthen(daemon: LittleDaemon) -> set[str]:
    """Real networks, hosts and paths have long names; returns what must be read whole wherever it is shown."""
    answers = daemon.answers
    status = answers["GET /collab/v1/status"]
    status["models"] = [model | {"name": NAME, "path": PATH} for model in status["models"]]
    status["clouds"] = [cloud | {"url": URL, "name": HOST, "problem": PROBLEM} for cloud in status["clouds"]]
    status["last"] |= {"model": NAME, "cut": LAYER.format(7), "cloud": HOST, "degraded": True, "why": PROBLEM}
    answers["GET /collab/v1/models"] = {"models": status["models"]}
    answers["GET /collab/v1/models/net"]["layers"] = [
        layer | {"name": LAYER.format(index)}
        for index, layer in enumerate(answers["GET /collab/v1/models/net"]["layers"] * 20)
    ]
    rows = answers["GET /collab/v1/profile/net"]["rows"]
    answers["GET /collab/v1/profile/net"] |= {"model": NAME, "cloud": HOST}
    answers["GET /collab/v1/profile/net"]["rows"] = [
        *rows[:2],
        *(rows[2] | {"cut": LAYER.format(index), "cloud": cloud} for index in range(16) for cloud in (HOST, "other")),
    ]
    (decision,) = answers["GET /collab/v1/explain"]["decisions"]
    decision |= {"model": NAME, "cut": LAYER.format(7), "cloud": HOST, "why": PROBLEM}
    decision["candidates"] = [
        candidate | {"cut": LAYER.format(index), "cloud": cloud}
        for candidate in decision["candidates"]
        for index in range(16)
        for cloud in (HOST, "other")
    ]
    answers["GET /collab/v1/config"]["file"] = FILE
    answers["GET /collab/v1/config"]["settings"] |= {
        "models.roots": {"value": [FILE, FILE], "origin": FILE},
        "clouds[0].url": {"value": URL, "origin": FILE},
    }
    return {URL, NAME, HOST, FILE, PATH, *PROBLEM.split(), *(LAYER.format(index) for index in range(60))}


TABLES = (
    ["status"],
    ["profile", "net"],
    ["profile", "net", "--budget", "min-cost,1J"],
    ["explain"],
    ["models", "list"],
    ["models", "show", "net"],
    ["models", "verify"],
    ["config"],
    ["infer", "cat.jpg"],
)


@pytest.mark.parametrize("columns", [80, 100, 160])
@pytest.mark.parametrize("words", TABLES, ids=" ".join)
def test_a_terminal_is_never_too_narrow(
    daemon: LittleDaemon, run: Run, tmp_path: Path, words: list[str], columns: int
) -> None:
    """No line is longer than the terminal, and what is shown of long names is whole: they can be copied."""
    (tmp_path / "cat.jpg").write_bytes(b"a picture")
    daemon.results = [
        a_result(
            plan=Plan(cut=LAYER.format(7), codec="q8", placement="DDC", cloud=HOST, reason="chosen"),
            degraded=True,
            why=PROBLEM,
        )
    ]
    whole = lengthen(daemon)
    words = [str(tmp_path / word) if word == "cat.jpg" else word for word in words]
    shown = run(*words, env={"COLUMNS": str(columns)}).stdout
    assert max(map(len, shown.splitlines())) <= columns
    assert "…" not in shown
    # Whatever is part of something long, and long itself, is the whole of it.
    parts = {part.strip('(),:;"[]') for part in shown.split() if len(part) > 8}
    assert not {part for part in parts - whole if any(part in long for long in whole)}
    assert whole & parts


def test_several_companions_keep_a_line_each(daemon: LittleDaemon, run: Run) -> None:
    lengthen(daemon)
    lines = run("status", env={"COLUMNS": "80"}).stdout.splitlines()
    assert [line.strip() for line in lines].count(URL) == 2
    assert any(line.startswith("Not shown for want of room") for line in lines)


def test_watch_says_how_wide_a_pipe_is(run: Run) -> None:
    """watch(1) runs its command in a pipe, and sets COLUMNS."""
    assert max(map(len, run("status", env={"COLUMNS": "80"}).stdout.splitlines())) <= 80
    assert run("status", env={"COLUMNS": "0"}).stdout == run("status").stdout


def test_a_terminal_gets_colours(socket: Path) -> None:
    (chosen,) = (line for line in in_terminal(socket, "profile", "net", columns=100).splitlines() if "chosen" in line)
    assert COLOURS.search(chosen)
