"""The pictures of a camera, one after another. It needs OpenCV (``pip install 'collab-sdk[camera]'``) or picamera2.

>>> from collab_sdk import Client
>>> from collab_sdk.camera import Camera
>>> with Camera("/dev/video0") as camera, Client(channels="bgr") as client:  # doctest: +SKIP
...     for result in client.stream(camera, "80ms", latest=camera.is_live):
...         print(result)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from collab_sdk.camera.capture import Capture
from collab_sdk.camera.source import CameraSource, parse_source
from collab_sdk.errors import CameraUnavailable

__all__ = ["Camera"]

# Seconds from one try to open a lost camera to the next: the first, and the longest.
_FIRST_TRY_S = 1.0
_LONGEST_WAIT_S = 10.0
# Seconds that `close` waits for a picture on its way. A camera that is gone keeps its reader longer than that.
_CLOSING_S = 2.0


class Camera:
    """A camera, or a video file, as an iterable of pictures: uint8 [height, width, 3] in the order B, G, R.

    ``source`` is one of these:

    - the number of a V4L2 camera or its device: ``0``, ``"0"``, ``"/dev/video0"``
    - ``"picamera2"``, or ``"picamera2:1"``: a camera at a Raspberry Pi's ribbon cable
    - a URL that gives video: ``"rtsp://…"``, ``"rtsps://…"``, ``"http://…"``, ``"https://…"``. User and password stand
      in the URL, or in ``~/.netrc`` beside the name of the host.
    - the path of a video file

    A camera that was lost is opened again, for as long as it takes. ``on_change`` is told of the loss (why), and of its
    return (None), in the thread that reads. A file ends. One thread may iterate, and any may `close`.

    `CameraUnavailable`: there is no such camera, one may not use it, it gives no pictures, or its URL is refused.
    `MissingDependency`: OpenCV or picamera2 is not installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | int,
        *,
        on_change: Callable[[CameraUnavailable | None], None] | None = None,
    ) -> None:
        self._source = parse_source(source)
        self._on_change = on_change or (lambda _: None)
        self._closed = threading.Event()
        # Held while the capture is in use: it must not be closed under who reads it.
        self._lock = threading.Lock()
        self._first: NDArray[np.uint8] | None = None
        self._capture: Capture | None = None
        self._open()

    @property
    def name(self) -> str:
        """The source in words, without password."""
        return self._source.shown

    @property
    def is_live(self) -> bool:
        """Whether pictures come at their own pace, and do not wait to be read: not so of a file."""
        return self._source.is_live

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        while not self._closed.is_set():
            if (picture := self._read()) is not None:
                yield picture
            elif not self.is_live or not self._is_back():
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the camera back. Who iterates gets no more pictures."""
        self._closed.set()
        if self._lock.acquire(timeout=_CLOSING_S):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _read(self) -> NDArray[np.uint8] | None:
        """The next picture. None: no more come, or the camera was closed."""
        with self._lock:
            picture, self._first = self._first, None
            if picture is None and self._capture is not None:
                picture = self._capture.read()
            if self._closed.is_set():
                self._let_go()
                return None
            return picture

    def _is_back(self) -> bool:
        """Wait until the camera gives pictures again. False: it was closed."""
        with self._lock:
            self._let_go()
        if self._closed.is_set():
            return False
        self._on_change(CameraUnavailable(f"{self.name} gives no more pictures"))
        wait_s = _FIRST_TRY_S
        while not self._closed.wait(wait_s):
            try:
                self._open()
            except CameraUnavailable:
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                continue
            if self._closed.is_set():
                break
            self._on_change(None)
            return True
        with self._lock:
            self._let_go()
        return False

    def _open(self) -> None:
        """Open it, and read a picture: many a camera can be opened and gives none."""
        with self._lock:
            self._capture = _opened(self._source)
            self._first = self._capture.read()
            if self._first is None:
                self._let_go()
                raise CameraUnavailable(f"{self.name} can be opened, but gives no picture{_hint(self._source)}")

    def _let_go(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()


def _opened(source: CameraSource) -> Capture:
    if source.kind == "picamera2":
        from collab_sdk.camera.picamera import open_picamera  # noqa: PLC0415  neither needs what the other does

        return open_picamera(source)
    from collab_sdk.camera.opencv import open_video  # noqa: PLC0415

    return open_video(source)


def _hint(source: CameraSource) -> str:
    hints: dict[Any, str] = {
        "device": ": another program may be using it; a camera at the ribbon cable is read as picamera2",
        "url": f" within {int(source.patience_s)} s",
        "file": ": is it a video?",
    }
    return hints.get(source.kind, "")
