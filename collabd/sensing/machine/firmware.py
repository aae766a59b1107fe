"""Asking a Raspberry Pi's firmware, which alone knows about throttling and about the Pi 5's power rails."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import TypeAlias

from collabd.sensing.reading import NotMeasured

# From arguments to what the program printed.
Vcgencmd: TypeAlias = Callable[..., str | NotMeasured]

# It answers in milliseconds, most of which start the process. A firmware that hangs must not hang the caller.
_TIMEOUT_S = 1.0


def vcgencmd(program: str = "vcgencmd", *, timeout_s: float = _TIMEOUT_S) -> Vcgencmd:
    """A function that runs `program` with its arguments, or one that returns that it is not installed.

    `vcgencmd` needs /dev/vcio_gencmd (older kernels: /dev/vcio), which belongs to the group `video`.
    """
    path = shutil.which(program)
    if path is None:
        return lambda *_: NotMeasured(f"{program}: not installed")
    return lambda *arguments: _run([path, *arguments], timeout_s)


def _run(command: list[str], timeout_s: float) -> str | NotMeasured:
    path = command[0]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return NotMeasured(f"{path}: no answer within {timeout_s:g} s")
    except OSError as error:
        return NotMeasured(f"{path}: {(error.strerror or str(error)).lower()}")
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().partition("\n")[0]
        return NotMeasured(f"{path}: {said or f'exit status {done.returncode}'}")
    return done.stdout
