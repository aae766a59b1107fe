"""A small file system of a test's own, to be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S


@contextmanager
def mounted(directory: Path, *options: str) -> Iterator[None]:
    """A file system of 1 MB of its own at `directory`; skips where none can be mounted."""
    directory.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(("size=1m", *options)), "tmpfs", directory],  # noqa: S607
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True, timeout=PATIENCE_S)  # noqa: S607


def remount(directory: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", directory], check=True, timeout=PATIENCE_S)  # noqa: S607


def fill(directory: Path) -> Path:
    """Until nothing more fits."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast
