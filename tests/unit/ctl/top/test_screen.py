"""The real `collabctl top` on a terminal of its own, in front of a little daemon."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collab_sdk.errors import NotReady
from tests.served import ServedDaemon
from tests.terminal import Terminal
from tests.unit.ctl.top.busy import a_report, a_stream

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run

TOP = [str(Path(sys.executable).with_name("collabctl")), "top"]
UTF8 = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": ""}


@pytest.fixture
def busy(daemon: LittleDaemon) -> LittleDaemon:
    """Says the same each time."""
    daemon.answers["GET /collab/v1/status"] = a_report(uptime_s=86_400.0 * 3)
    return daemon


@contextmanager
def topped(
    socket: Path, columns: int = 80, lines: int = 24, environment: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    variables = UTF8 | {"COLLABD_SOCKET": str(socket), "NO_COLOR": ""} | dict(environment or {})
    with Terminal(TOP, columns=columns, lines=lines, environment=variables) as terminal:
        yield terminal


def colours(terminal: Terminal) -> set[str]:
    return {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()}


def test_a_key_ends_it_and_the_terminal_is_as_it_was(busy: LittleDaemon, socket: Path) -> None:
    with topped(socket) as terminal:
        terminal.shows("│░░░", "nanodet_g front-door", "companion-lost")
        assert not terminal.is_as_it_was
        assert {"cyan", "green"} <= colours(terminal)
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.is_as_it_was


def test_only_what_changes_is_written(busy: LittleDaemon, socket: Path) -> None:
    with topped(socket, 140, 50) as terminal:
        # Until nothing is left to come: calls a second, and the end of the first sparklines.
        terminal.shows("│░░░", "0.00/s")
        asked, written = len(busy.asked), terminal.written
        terminal.until(lambda: len(busy.asked) >= asked + 4)
        # Each new value of eight sparklines, and no line of the fifty anew.
        assert terminal.written - written < 4 * 400


def test_keys_scroll_and_explain(busy: LittleDaemon, socket: Path) -> None:
    streams = [a_stream(f"network-{index:02}") for index in range(30)]
    busy.answers["GET /collab/v1/status"] = a_report(streams=streams, health=[])
    with topped(socket) as terminal:
        terminal.shows("streams 1 to 5 of 30")
        terminal.press("j")
        terminal.shows("streams 2 to 6 of 30")
        terminal.press("\x1b[6~")  # page down
        terminal.shows("streams 7 to 11 of 30")
        terminal.press("?")
        terminal.shows("How calls were answered")
        terminal.press("?")
        terminal.shows("network-06")
        terminal.resize(columns=80, lines=50)
        terminal.shows("of 30", "network-18")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize(
    ("environment", "bar", "coloured"),
    [
        ({"LC_ALL": "C"}, "|---", True),
        ({"LANG": "C"}, "|---", True),
        ({"NO_COLOR": "1"}, "│░░░", False),
        ({"TERM": "vt100"}, "│░░░", False),
        # Of a terminal that this machine has not heard of.
        ({"TERM": "xterm-newest"}, "│░░░", True),
    ],
    ids=["LC_ALL=C", "LANG=C", "NO_COLOR", "monochrome", "unknown"],
)
def test_every_terminal_shows_it(
    busy: LittleDaemon, socket: Path, environment: dict[str, str], bar: str, coloured: bool
) -> None:
    with topped(socket, environment=environment) as terminal:
        terminal.shows(bar, "nanodet_g front-door")
        assert (colours(terminal) != {"default"}) is coloured
        terminal.press("q")
        assert terminal.ended() == 0


def test_a_daemon_that_is_away_is_waited_for(busy: LittleDaemon, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with topped(path) as terminal:
        terminal.shows("still trying: cannot reach collabd", "it is not running")
        served = ServedDaemon(path, partial(busy.send, timeout_s=60))
        try:
            terminal.shows("│░░░")
            served.stop()
            terminal.shows("still trying", "What stands below is", "│░░░")
            served.start()
            terminal.until(lambda: "still trying" not in terminal.text)
        finally:
            served.stop()
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_it_gets_the_terminal_back(busy: LittleDaemon, socket: Path, number: signal.Signals) -> None:
    with topped(socket) as terminal:
        terminal.shows("│░░░")
        terminal.process.send_signal(number)
        assert terminal.ended() == 130
        assert terminal.is_as_it_was


def test_once_prints_the_screen_as_text(busy: LittleDaemon, run: Run) -> None:
    ran = run("top", "--once", env={"LC_ALL": "C"})
    assert ran.exit_code == 0
    assert ran.stdout.startswith("collabd 0.1.0  up 3 d")
    assert "nanodet_g front-door" in ran.stdout
    assert "quit" not in ran.stdout


def test_once_fails_where_the_daemon_does(busy: LittleDaemon, run: Run) -> None:
    busy.answers["GET /collab/v1/status"] = NotReady("it is still loading")
    ran = run("top", "--once")
    assert (ran.exit_code, ran.stderr) == (1, "collabctl: it is still loading\n")


def test_a_terminal_that_can_only_print_is_refused(socket: Path) -> None:
    with topped(socket, environment={"TERM": "dumb"}) as terminal:
        terminal.shows("collabctl top --once")
        assert terminal.ended() == 1


def test_a_python_without_curses_is_told_of(socket: Path) -> None:
    script = "import sys; sys.modules['_curses'] = None; from collabd.ctl.__main__ import main; main()"
    with Terminal([sys.executable, "-c", script, "top"], columns=80, lines=24, environment=UTF8) as terminal:
        terminal.shows("this Python comes without curses")
        assert terminal.ended() == 1


def test_a_pipe_is_no_terminal(run: Run) -> None:
    ran = run("top")
    assert ran.exit_code == 1
    assert "collabctl top --once" in ran.stderr
