"""A camera at a Raspberry Pi's ribbon cable, read by picamera2, which comes with Raspberry Pi OS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collab_sdk.camera.source import CameraSource
from collab_sdk.errors import CameraUnavailable, MissingDependency

# Width and height. Networks look at less; a larger picture costs the Pi time in every call.
_SIZE = (1280, 720)


class PiCapture:
    """A `Picamera2` that is running."""

    def __init__(self, camera: Any, patience_s: float) -> None:
        self._camera = camera
        self._patience_s = patience_s

    def read(self) -> NDArray[np.uint8] | None:
        """See `Capture`."""
        try:
            picture: NDArray[np.uint8] = self._camera.capture_array("main", wait=self._patience_s)
        except (RuntimeError, TimeoutError):
            return None
        return picture

    def close(self) -> None:
        """See `Capture`."""
        self._camera.close()


def open_picamera(source: CameraSource) -> PiCapture:
    """Start it. `CameraUnavailable`, which says why. `MissingDependency`: picamera2 is not installed."""
    try:
        from picamera2 import Picamera2  # noqa: PLC0415  no package of PyPI's that one could declare
    except ImportError as error:
        raise MissingDependency(
            f"picamera2 cannot be used here ({error}): sudo apt install python3-picamera2; a virtual environment sees "
            "it if it was made with --system-site-packages"
        ) from error
    number, found = int(source.target), len(Picamera2.global_camera_info())
    if number >= found:
        there = f"there are {found}, counted from 0" if found else "none is connected; rpicam-hello --list-cameras"
        raise CameraUnavailable(f"there is no camera {source.shown}: {there}")
    try:
        camera = Picamera2(number)
    except RuntimeError as error:
        raise CameraUnavailable(
            f"cannot open {source.shown} ({error}): another program may be using it, or you are not in the group video"
        ) from error
    try:
        # Its names go by the word in memory: RGB888 is B, G, R in an array, as OpenCV has it.
        camera.configure(camera.create_video_configuration(main={"size": _SIZE, "format": "RGB888"}))
        camera.start()
    except RuntimeError as error:
        camera.close()
        raise CameraUnavailable(f"cannot start {source.shown}: {error}") from error
    return PiCapture(camera, source.patience_s)
