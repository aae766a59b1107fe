"""What identifies this machine, as far as measured times depend on it."""

from __future__ import annotations

import platform
from pathlib import Path

import onnxruntime

from collab_sdk.vocabulary import Provider
from collabd import __version__
from collabd.limits.cores import usable_cores
from collabd.profiling.profile import Machine

# A Pi names itself under "Model"; x86 names the processor under "model name".
_KEYS = ("Model", "model name")


def describe(proc: Path = Path("/proc"), *, provider: Provider = Provider.CPU) -> Machine:
    """This machine, where `provider` computes; `proc` is where procfs is mounted."""
    return Machine(
        cpu=_cpu(proc / "cpuinfo"),
        cores=usable_cores(),
        # Of the module: it may come from onnxruntime, onnxruntime-gpu or onnxruntime-openvino.
        onnxruntime=onnxruntime.__version__,
        collabd=__version__,
        provider=provider,
    )


def _cpu(cpuinfo: Path) -> str:
    """The processor's name, or its architecture where the kernel gives none."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    return next((facts[key] for key in _KEYS if facts.get(key)), platform.machine())
