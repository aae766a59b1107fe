"""Builds a package of a file that Frigate sent, in a process of its own that ends with the daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from collab_sdk.errors import DaemonFault, InvalidPackage
from collab_sdk.text import plain
from collabd.catalog.package.sent_detector import SentDetector
from collabd.catalog.trial.apart import REFUSED
from collabd.device.doors.frigate.rows import IOU_THRESHOLD

log = logging.getLogger(__name__)

# Not imported: the daemons run without the authoring tools.
_PROGRAM = "collabd.catalog.authoring.sent"
_WALL_S = 1800.0
_LONGEST_REASON = 1000


async def build_apart(
    file: Path, directory: Path, *, name: str, min_confidence: float, wall_s: float = _WALL_S
) -> SentDetector:
    """Build the package `name` of the ONNX file `file` as `directory`, and try it out.

    Raises `InvalidPackage` with the reason if it is refused, `DaemonFault` if no process can be started.
    """
    stated = (str(file), name, str(directory), str(min_confidence), str(IOU_THRESHOLD))
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", _PROGRAM, *stated),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that it ends together with the process that tries the package out
        )
    except OSError as error:
        raise DaemonFault(f"the daemon cannot start a process to build the model: {error}") from error
    try:
        said, complaints = await asyncio.wait_for(process.communicate(), wall_s)
    except TimeoutError:
        raise InvalidPackage(f"no package could be built of it within {wall_s:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode == REFUSED:
        raise InvalidPackage(said.decode(errors="replace")[:_LONGEST_REASON])
    if process.returncode:
        log.warning("a model was not built: %s", plain(complaints.decode(errors="replace"))[-_LONGEST_REASON:])
        raise InvalidPackage(f"building a package of it ended with status {process.returncode}")
    return msgspec.json.decode(said, type=SentDetector)
