"""Shows pictures in a browser: Motion JPEG over HTTP, from the standard library alone.

``/`` is a page, ``/stream.mjpg`` the pictures one after another (Home Assistant's and others' "MJPEG camera"), and
``/picture.jpg`` the next of them. Whoever reaches the address sees the pictures: there is no password. So it is this
machine's own, unless another is asked for.
"""

from __future__ import annotations

import html
import io
import socket
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from collab_sdk.errors import InvalidRequest

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["MjpegServer"]

LOOPBACK = "127.0.0.1"
_QUALITY = 80
_BOUNDARY = "picture"
# Each viewer has a thread.
_MOST_VIEWERS = 16
# Seconds after which a viewer that takes nothing, or asks for nothing, is let go.
_PATIENCE_S = 20.0
# Seconds after which the last picture is sent again, if there is no newer one.
_REPEAT_S = 5.0


class MjpegServer:
    """Serves the newest picture to all who look. Those that are slow skip some.

    ``listen``: ``"PORT"`` or ``"HOST:PORT"``; port 0 is any that is free. ``name``: the title of the page.
    `InvalidRequest`: that is no address, or one cannot listen there.
    """

    def __init__(self, listen: str = "8090", name: str = "camera") -> None:
        host, _, port = listen.rpartition(":")
        host = host.strip("[]") or LOOPBACK
        self.name = name
        self._changed = threading.Condition()
        self._jpeg, self._number = b"", 0
        self._closed = False
        self._viewers = 0
        try:
            self._server = _server(host, int(port), self)
        except (OSError, ValueError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "it is HOST:PORT, or a port of this machine's own address"
            raise InvalidRequest(f"cannot show pictures at {listen!r}: {why}") from error
        threading.Thread(target=self._server.serve_forever, name="mjpeg", daemon=True).start()

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host, port = str(self._server.server_address[0]), self._server.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def is_watched(self) -> bool:
        """Whether somebody waits for a picture. If not, there is no need to draw one."""
        return self._viewers > 0

    def show(self, picture: PIL.Image.Image) -> None:
        """Show an RGB picture, such as `Result.draw` gives."""
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_QUALITY)
        with self._changed:
            self._jpeg, self._number = file.getvalue(), self._number + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let all viewers go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pictures(self) -> Generator[bytes, None, None]:
        """The pictures that are shown from now on, as JPEG files, for one viewer. While there is no new one, the last.

        There are none if none comes in time, or if there are too many viewers.
        """
        with self._changed:
            if self._viewers >= _MOST_VIEWERS:
                return
            self._viewers += 1
            seen = self._number
        try:
            if not self._comes_after(seen, _PATIENCE_S):
                return
            while not self._closed:
                with self._changed:
                    seen, jpeg = self._number, self._jpeg
                yield jpeg
                # Who has gone away is noticed when something is sent.
                self._comes_after(seen, _REPEAT_S)
        finally:
            with self._changed:
                self._viewers -= 1

    def _comes_after(self, seen: int, patience_s: float) -> bool:
        """Wait for a picture that is newer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._number > seen, patience_s) and not self._closed


class _Viewer(BaseHTTPRequestHandler):
    """One request."""

    pictures_of: MjpegServer
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """Answer it."""
        if not self._is_meant():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, explain="this is the picture of another machine's own")
            return
        match urlsplit(self.path).path:
            case "/":
                self._page()
            case "/stream.mjpg":
                self._stream()
            case "/picture.jpg":
                self._picture()
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name in the base class
        """Say nothing."""

    def _is_meant(self) -> bool:
        """Whether a browser was sent here by this machine's address: a page from elsewhere can give it another name."""
        if not ip_address(self.connection.getsockname()[0]).is_loopback:
            return True
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        return host in {None, "localhost", LOOPBACK, "::1"}

    def _head(self, kind: str, **more: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _page(self) -> None:
        name = html.escape(self.pictures_of.name)
        style = "body{margin:0;background:#111}img{display:block;margin:auto;max-width:100%;max-height:100vh}"
        page = f'<!doctype html><meta charset="utf-8"><title>{name}</title><style>{style}</style>'
        page += f'<img src="stream.mjpg" alt="{name}">'
        self._head("text/html; charset=utf-8")
        self.wfile.write(page.encode())

    def _stream(self) -> None:
        with closing(self.pictures_of.pictures()) as pictures:
            first = next(pictures, None)
            if first is None:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
                return
            self._head(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            # Until the viewer is gone, or takes nothing.
            with suppress(OSError):
                self._part(first)
                for jpeg in pictures:
                    self._part(jpeg)

    def _part(self, jpeg: bytes) -> None:
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")

    def _picture(self) -> None:
        with closing(self.pictures_of.pictures()) as pictures:
            jpeg = next(pictures, None)
        if jpeg is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._head("image/jpeg", Content_Length=str(len(jpeg)))
        self.wfile.write(jpeg)


class _Server(ThreadingHTTPServer):
    """Ends with the program, whoever still looks."""

    daemon_threads = True
    block_on_close = False


class _SixServer(_Server):
    """The same for IPv6."""

    address_family = socket.AF_INET6


def _server(host: str, port: int, pictures: MjpegServer) -> _Server:
    handler = type("Viewer", (_Viewer,), {"pictures_of": pictures})
    return (_SixServer if ":" in host else _Server)((host, port), handler)
