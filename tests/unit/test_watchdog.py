"""Whatever hangs, the run of the tests ends with an error, and says where it was stuck."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import watchdog

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]
CONFTEST = """
import threading
import pytest
from tests.watchdog import Watchdog

def stuck(config):
    watchdog = config.pluginmanager.get_plugin("watchdog")
    watchdog._patience = 1
    watchdog._wait_again()
    here_it_hangs()

def here_it_hangs():
    threading.Event().wait()

def pytest_configure(config):
    config.pluginmanager.register(Watchdog(), "watchdog")
"""
IN_A_TEST = """
import conftest
def test_before(): pass
def test_stuck(pytestconfig): conftest.stuck(pytestconfig)
def test_after(): pass
"""
BEHIND_A_FAILURE = """
import conftest, pytest
@pytest.fixture
def stuck(pytestconfig):
    pytestconfig.pluginmanager.get_plugin("watchdog")._patience = 5
    yield
    conftest.here_it_hangs()
def test_stuck(stuck): pytest.fail("then it hangs")
"""
QUIET = "def test_quiet(): pass\n"
AT_THE_END = """
def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput") == {of_worker}:
        stuck(session.config)
"""
A_THREAD = """
import conftest, threading
def test_quiet(pytestconfig): threading.Thread(target=conftest.here_it_hangs).start()
"""
SHORT_BEHIND_THE_END = """
@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config):
    watchdog = config.pluginmanager.get_plugin("watchdog")
    watchdog._patience = 1
    watchdog._wait_again()
"""
SIDE_BY_SIDE = ("--numprocesses=1", "--dist=loadfile", "--max-worker-restart=0")


def run(folder: Path, conftest: str, tests: str, *options: str) -> str:
    """What pytest says about the tests in an empty folder. It has to end with an error."""
    (folder / "conftest.py").write_text(CONFTEST + conftest)
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {CHECKOUT} {folder}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "Timeout (0:00:0" in done.stdout
    assert "in here_it_hangs" in done.stdout
    return done.stdout


async def test_a_coroutine_that_hangs_fails_and_tells_where_each_task_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def awaited() -> None:
        await asyncio.Event().wait()

    async def hangs() -> None:
        await asyncio.gather(awaited())

    monkeypatch.setattr(watchdog, "PATIENCE_WITH_COROUTINES", 0.1)
    with pytest.raises(TimeoutError) as raised:
        await watchdog._bounded(hangs)()
    (note,) = raised.value.__notes__
    waiting = [re.findall(r"(\w+) \(", line) for line in note.splitlines()]
    assert ["awaited", "wait"] in waiting
    assert any(names[-1:] == ["hangs"] for names in waiting)


@pytest.mark.parametrize("tests", [IN_A_TEST, BEHIND_A_FAILURE], ids=["in a test", "behind a failure"])
def test_a_test_that_hangs(tmp_path: Path, tests: str) -> None:
    run(tmp_path, "", tests)


@pytest.mark.parametrize("tests", [IN_A_TEST, BEHIND_A_FAILURE], ids=["in a test", "behind a failure"])
def test_a_test_that_hangs_in_a_worker_is_named(tmp_path: Path, tests: str) -> None:
    assert "worker 'gw0' crashed while running 'test_it.py::test_stuck'" in run(tmp_path, "", tests, *SIDE_BY_SIDE)


def test_a_worker_that_hangs_behind_its_last_test(tmp_path: Path) -> None:
    said = run(tmp_path, AT_THE_END.format(of_worker=True), QUIET, *SIDE_BY_SIDE)
    assert "[gw0] node down" in said


@pytest.mark.parametrize("options", [(), SIDE_BY_SIDE], ids=["plain", "side by side"])
def test_a_master_that_hangs_at_its_end(tmp_path: Path, options: tuple[str, ...]) -> None:
    run(tmp_path, AT_THE_END.format(of_worker=False), QUIET, *options)


def test_a_thread_that_outlives_the_tests(tmp_path: Path) -> None:
    run(tmp_path, SHORT_BEHIND_THE_END, A_THREAD)
