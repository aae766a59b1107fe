"""The daemons do without the library that makes certificates: its memory is collabctl's alone, for a moment."""

from __future__ import annotations

import subprocess
import sys


def test_no_daemon_imports_cryptography() -> None:
    code = "import sys, collabd.cloud.server, collabd.device.server; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
