"""What bash completes, with the installed file and the real collabctl."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "packaging/completion/collabctl"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def complete(*words: str) -> set[str]:
    """What bash offers for the last of `words`."""
    line = " ".join(words)
    script = f'. "{FILE}"; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _collabctl_completion collabctl'
    script += '; printf "%s\\n" "${COMPREPLY[@]}"'
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "--norc", "-c", script]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path})
    return set(found.stdout.split())


def test_commands_are_completed() -> None:
    assert {"status", "simulate"} == complete("collabctl", "s")
    assert {"list", "show", "add", "remove", "verify", "pair", "quantise", "pull", "index"} == complete(
        "collabctl", "models", "''"
    )


def test_options_and_their_values_are_completed() -> None:
    assert {"--pin-first", "--pin-last"} == complete("collabctl", "infer", "--pin")
    assert {"local", "fail", "never-leave"} == complete("collabctl", "infer", "--fallback", "''")


def test_the_file_is_what_click_makes() -> None:
    collabctl = Path(sys.executable).with_name("collabctl")
    environment = {**os.environ, "_COLLABCTL_COMPLETE": "bash_source"}
    made = subprocess.run([collabctl], check=True, capture_output=True, text=True, env=environment)
    assert made.stdout.strip() == FILE.read_text().strip()
