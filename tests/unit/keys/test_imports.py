"""The daemons do without the library that makes certificates: its memory is collabctl's alone, for a moment."""

from __future__ import annotations

import subprocess
import sys

from tests.patience import PROGRAM_S


def test_no_daemon_imports_cryptography() -> None:
    code = "import sys, collabd.cloud.server, collabd.device.server; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=PROGRAM_S).returncode == 0
