"""Sockets, errors, exit statuses and what is imported, of all sub-commands alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from collab_sdk.errors import DaemonFault, NotReady, PermissionRefused
from collabd import __version__
from collabd.ctl.__main__ import main
from tests.patience import PATIENCE_S, PROGRAM_S, until

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run

READERS = (
    ["status"],
    ["profile", "net"],
    ["infer", "cat.jpg"],
    ["models", "list"],
    ["models", "show", "net"],
    ["models", "verify"],
    ["wait", "--timeout", "0.2"],
    ["explain"],
    ["config"],
)
ME = [sys.executable, "-m", "collabd.ctl"]


@pytest.mark.parametrize("where", ["first", "last"])
def test_the_socket_is_an_option_of_every_level(socket: Path, where: str) -> None:
    option = ["--socket", str(socket)]
    words = [*option, "models", "list"] if where == "first" else ["models", "list", *option]
    assert CliRunner().invoke(main, words, env={"COLLABD_SOCKET": "/nowhere"}).exit_code == 0


def test_the_nearest_socket_counts(socket: Path) -> None:
    words = ["--socket", "/nowhere", "config", "--socket", str(socket)]
    assert CliRunner().invoke(main, words).exit_code == 0


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_without_a_daemon_every_command_says_so_in_one_line(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"an image")
    words = [str(tmp_path / word) if word == "cat.jpg" else word for word in words]
    ran = CliRunner().invoke(main, ["--socket", str(tmp_path / "none"), *words])
    assert (ran.exit_code, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("collabctl: ")
    assert "collabd is not" in line or "it is not running" in line


def test_an_error_of_several_lines_becomes_one(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/status"] = DaemonFault("broken\nin two")
    assert run("status").stderr == "collabctl: broken; in two\n"


def test_what_the_daemon_refuses_is_one_line(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/config"] = PermissionRefused("not you")
    ran = run("config", "--json")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (1, "", "collabctl: not you\n")


@pytest.mark.parametrize(
    "words",
    [["stauts"], ["profile"], ["infer"], ["infer", "a.jpg", "--top", "0"], ["infer", "a.jpg", "--fallback", "maybe"]],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_asks_nobody(daemon: LittleDaemon, run: Run, words: list[str]) -> None:
    ran = run(*words)
    assert ran.exit_code == 2
    assert "Usage: " in ran.stderr
    assert daemon.asked == []


def test_the_version(run: Run) -> None:
    assert run("--version").stdout == f"collabctl, version {__version__}\n"


def test_it_runs_as_a_program(socket: Path) -> None:
    done = subprocess.run(
        [*ME, "--socket", socket, "status"], capture_output=True, text=True, check=False, timeout=PROGRAM_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"collabd    {__version__}, ready")


def test_an_interrupt_is_130(daemon: LittleDaemon, socket: Path) -> None:
    daemon.answers["GET /v2/health/ready"] = NotReady("still loading")
    words = [*ME, "--socket", str(socket), "wait", "--timeout", "60"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: bool(daemon.asked))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert (process.returncode, said.strip()) == (130, "")


def test_a_reader_that_leaves_is_no_error_message(socket: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [*ME, "--socket", str(socket), "status"]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=PROGRAM_S)
    os.close(writing)
    assert done.stderr == ""


def imported(code: str, *of: str) -> set[str]:
    """Which of the modules a fresh interpreter has after running the code."""
    report = f"import sys; {code}; print(*(name for name in {of!r} if name in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=PROGRAM_S)
    return set(done.stderr.split())


SLOW = (
    "aiohttp",
    "asyncio",
    "collab_sdk.control",
    "collabd.catalog",
    "msgspec",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "rich",
    "torch",
)


def test_nothing_slow_is_imported_before_a_command_runs() -> None:
    assert imported("import collabd.ctl.__main__", *SLOW) == set()


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["status", "--json"], set()),
        (["status"], {"rich"}),
        (["profile", "net", "--json"], set()),
        (["models", "list", "--json"], set()),
        (["models", "show", "net", "--json"], set()),
        (["models", "remove", "net"], set()),
        (["wait", "--profiled", "--timeout", "0.1"], set()),
        (["explain", "--json"], set()),
        (["config", "--json"], set()),
        (["infer", "cat.jpg", "--json"], {"numpy"}),
    ],
    ids=" ".join,
)
def test_a_command_imports_what_it_needs_and_no_more(
    daemon: LittleDaemon, socket: Path, tmp_path: Path, words: list[str], needed: set[str]
) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"an image")
    daemon.answers["GET /collab/v1/models"]["models"] = []
    words = ["--socket", str(socket), *(str(tmp_path / word) if word == "cat.jpg" else word for word in words)]
    call = f"from collabd.ctl.__main__ import main; main({words!r}, standalone_mode=False)"
    assert imported(call, *SLOW) == needed | {"collab_sdk.control"}
