"""What identifies this machine, as far as measured times depend on it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from collabd import __version__
from collabd.cores import usable_cores
from collabd.profiling.profile import Machine

# A Pi names itself under "Model"; x86 names the processor under "model name".
_KEYS = ("Model", "model name")


def describe(proc: Path = Path("/proc")) -> Machine:
    """This machine; `proc` is where procfs is mounted."""
    return Machine(
        cpu=_cpu(proc / "cpuinfo"),
        cores=usable_cores(),
        onnxruntime=version("onnxruntime"),
        collabd=__version__,
    )


def _cpu(cpuinfo: Path) -> str:
    """The processor's name, or its architecture where the kernel gives none."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    return next((facts[key] for key in _KEYS if facts.get(key)), platform.machine())
