"""Serves the files of a folder over HTTP on this machine, as well or as badly as a test wants."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class FileServer:
    """`ranges`: whether it serves parts. `breaks_after`: the next reply ends after so many bytes of its body.

    `says`: headers that each reply has besides. `asked`: the path and the Range of each request.
    """

    folder: Path
    url: str = ""
    ranges: bool = True
    breaks_after: int | None = None
    says: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """A server of this folder, as long as the context lasts."""
    told = FileServer(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, told)) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, told: FileServer, *arguments: object) -> None:
        self._told = told
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        told, wanted = self._told, self.headers["Range"]
        path = urlsplit(self.path).path
        told.asked.append((path, wanted))
        file = told.folder / path.lstrip("/")
        if not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes()
        part = re.fullmatch(r"bytes=(\d+)-", wanted or "") if told.ranges else None
        start = int(part[1]) if part else 0
        if part and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in told.says.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        breaks, told.breaks_after = told.breaks_after, None
        self.wfile.write(content[start:] if breaks is None else content[start : start + breaks])
