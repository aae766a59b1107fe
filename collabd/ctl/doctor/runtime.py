"""Whether Python and ONNX Runtime, which collabd needs, run here. ONNX Runtime is tried in a child process."""

from __future__ import annotations

import json
import os
import platform
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterator, Sequence

from collabd.ctl.doctor.context import Context
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import Answer, run

TRIAL = (sys.executable, "-I", "-m", "collabd.ctl.doctor.trial")
_TRIAL_S = 120.0
_ANOTHER = "Install another version into collabd's environment: pip install 'onnxruntime>=1.22'"


def check_machine(_: Context) -> Iterator[Finding]:
    """Processor, word length and page size."""
    yield of_machine(platform.machine(), 8 * struct.calcsize("P"), os.sysconf("SC_PAGE_SIZE"))


def of_machine(arch: str, bits: int, page_bytes: int) -> Finding:
    """What to make of these."""
    title = f"{arch}, {bits}-bit programs, memory pages of {page_bytes // 1024} KB"
    if bits == 64:
        return Finding("machine", "ok", title)
    return Finding(
        "machine", "error", title, advice="ONNX Runtime needs a 64-bit system: install the 64-bit image of the OS"
    )


def check_python(_: Context) -> Iterator[Finding]:
    """Version and ABI of the interpreter that runs this, which is the daemons' as well where they are installed."""
    abi = sysconfig.get_config_var("SOABI") or "unknown ABI"
    yield of_python(sys.version_info[:3], f"{platform.python_implementation()} {abi}")


def of_python(version: tuple[int, int, int], abi: str) -> Finding:
    """What to make of these."""
    title = f"Python {'.'.join(map(str, version))}, {abi}"
    if version >= (3, 11):
        return Finding("python", "ok", title)
    return Finding(
        "python", "error", title, advice="Install Python 3.11 or newer, then collabd into an environment of that Python"
    )


def check_runtime(_: Context) -> Iterator[Finding]:
    """ONNX Runtime, which some processors cannot run."""
    yield try_runtime(TRIAL)


def try_runtime(command: Sequence[str]) -> Finding:
    """Run the trial (a test may pass another program) and report how it ended."""
    answer = run(command, timeout_s=_TRIAL_S)
    if answer is None:
        return Finding("onnxruntime", "error", f"ONNX Runtime does not end within {_TRIAL_S:g} s", advice=_ANOTHER)
    if answer.status < 0:
        name = signal.Signals(-answer.status).name
        meaning = signal.strsignal(-answer.status) or "a signal"
        title = f"the signal {name} kills ONNX Runtime on this machine ({meaning.lower()})"
        return Finding("onnxruntime", "error", title, advice=f"This processor cannot run this build. {_ANOTHER}")
    if answer.status:
        return _failed(answer)
    return of_versions(**json.loads(answer.out))


def _failed(answer: Answer) -> Finding:
    last = (answer.err or answer.out).strip().rpartition("\n")[2]
    if not answer.err:
        return Finding(
            "onnxruntime", "error", "ONNX Runtime runs on this machine but gives wrong numbers", advice=_ANOTHER
        )
    return Finding(
        "onnxruntime", "error", f"ONNX Runtime does not run on this machine: {last}", advice="Install collabd again"
    )


def of_versions(onnxruntime: str, onnx: str) -> Finding:
    """The finding for the versions of a runtime that works."""
    title = f"ONNX Runtime {onnxruntime} (with onnx {onnx}) runs a graph"
    major, minor = (int(part) for part in onnxruntime.split(".")[:2])
    if (major, minor) < (1, 20):
        return Finding("onnxruntime", "error", f"{title}: too old", advice=_ANOTHER)
    if (major, minor) == (1, 21):
        return Finding("onnxruntime", "error", f"{title}: 1.21 dies on a Raspberry Pi 4", advice=_ANOTHER)
    return Finding("onnxruntime", "ok", title)
