"""Who has a second try: a few tests that failed, and nothing else that went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.second_try import MOST

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]
# It fails in the first process that runs it.
UNLUCKY = """
import pathlib
def test_unlucky():
    seen = pathlib.Path(__file__).with_name("seen")
    first = not seen.exists()
    seen.touch()
    assert not first, "the machine stood still"
"""
WRONG = "def test_wrong(): assert 1 + 1 == 3\n"
DYING = """
import os, pathlib
def test_dying():
    seen = pathlib.Path(__file__).with_name("died")
    if not seen.exists():
        seen.touch()
        os.abort()
"""
SKIPPED = "import pytest\ndef test_skipped(): pytest.skip('not here')\n"
BROKEN = "import nothing_of_the_kind\n"
MANY = f"""
import pathlib, pytest
@pytest.mark.parametrize("number", range({MOST + 1}))
def test_unlucky(number):
    seen = pathlib.Path(__file__).with_name(f"seen{{number}}")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


def run(folder: Path, *files: str, required: bool = False, options: tuple[str, ...] = ()) -> tuple[int, str]:
    for number, text in enumerate(files):
        (folder / f"test_{number}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "tests.second_try", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=os.environ | {"SYSTEM_TESTS": "required" if required else "", "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout


def test_what_passes_alone_has_passed_and_is_told(tmp_path: Path) -> None:
    status, said = run(tmp_path, UNLUCKY)
    assert status == 0, said
    assert "passed: test_0.py::test_unlucky" in said.partition("second try:\n")[2]
    assert "the first time: AssertionError: the machine stood still" in said


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    status, said = run(tmp_path, UNLUCKY, WRONG)
    assert status == 1
    assert "FAILED AGAIN: test_1.py::test_wrong" in said
    assert "passed: test_0.py::test_unlucky" in said


@pytest.mark.parametrize("other", [MANY, BROKEN], ids=["many", "a broken file"])
def test_what_is_no_accident_has_no_second_try(tmp_path: Path, other: str) -> None:
    status, said = run(tmp_path, other)
    assert status
    assert "second try" not in said


def test_a_process_that_died_is_no_accident(tmp_path: Path) -> None:
    status, said = run(tmp_path, UNLUCKY, DYING, options=("--numprocesses=2", "--max-worker-restart=2"))
    assert status
    assert "second try" not in said


def test_what_was_skipped_and_has_to_run_is_no_accident(tmp_path: Path) -> None:
    status, said = run(tmp_path, UNLUCKY, SKIPPED, required=True)
    assert status
    assert "second try" not in said
