"""A loopback RTSP server that can be killed and comes back at the same address."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("rtsp_server.py")
_NEEDS = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ('avidemux', 'jpegdec', 'jpegenc', 'rtpjpegpay')))"
)


def is_installed() -> bool:
    """Whether the system's Python has GStreamer's server, and the plug-ins that it needs."""
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", _NEEDS], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_rtsp = pytest.mark.skipif(
    not is_installed(), reason="needs python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-good"
)


class RtspServer:
    """Plays a file to each who connects. ``login``: user and password that it asks for."""

    def __init__(self, film: Path, *login: str) -> None:
        self._film, self._login = film, login
        self._port = "0"
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}/door"

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(_SCRIPT), str(self._film), self._port, *self._login]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().strip()
        assert self._port

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
