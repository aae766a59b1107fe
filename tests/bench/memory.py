"""The memory of a process, beside the memory of processes that do less or do the same in the plainest way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_IMPORTS = "import psutil, uvloop, collabd.__main__, collabd.device.server"
_PLAIN_SESSIONS = """
import sys, numpy, onnxruntime
held = []
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(path)
    image = session.get_inputs()[0]
    session.run(None, {image.name: numpy.zeros((1, *image.shape[1:]), numpy.uint8)})
    held.append(session)
"""
_REPORT = "m = psutil.Process().memory_full_info(); print(m.rss, m.uss)"


@dataclass(frozen=True)
class Memory:
    """Bytes resident, and those of them that no other process shares."""

    rss: int
    uss: int


def of(process: psutil.Process) -> Memory:
    """What `process` holds now."""
    info = process.memory_full_info()
    return Memory(info.rss, info.uss)


def of_imports() -> Memory:
    """A process that imports what collabd imports, and no more."""
    return _child("")


def of_plain_sessions(models: Iterable[Path]) -> Memory:
    """The same that has run each model once in a session of ONNX Runtime's as it comes."""
    return _child(_PLAIN_SESSIONS, *map(str, models))


def _child(work: str, *arguments: str) -> Memory:
    command = [sys.executable, "-c", f"{_IMPORTS}\n{work}\n{_REPORT}", *arguments]
    rss, uss = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Memory(int(rss), int(uss))
