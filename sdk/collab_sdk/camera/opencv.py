"""V4L2 cameras, URLs and video files, read by OpenCV, which this module imports and the rest of the SDK does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collab_sdk.camera.refusal import why_refused
from collab_sdk.camera.source import CameraSource
from collab_sdk.errors import CameraUnavailable, MissingDependency

# FFmpeg writes its complaints to stderr, in words of its own and with the URL; ours follow.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "0")
try:
    import cv2
except ImportError as error:
    raise MissingDependency(
        "cameras need OpenCV: pip install 'collab-sdk[camera]' (on Debian: sudo apt install python3-opencv)"
    ) from error

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class OpenCvCapture:
    """A `cv2.VideoCapture` that is open."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def read(self) -> NDArray[np.uint8] | None:
        """See `Capture`."""
        try:
            came, picture = self._capture.read()
        except cv2.error:
            return None
        return picture if came else None

    def close(self) -> None:
        """See `Capture`."""
        self._capture.release()


def open_video(source: CameraSource) -> OpenCvCapture:
    """Open it. `CameraUnavailable`, which says why."""
    match source.kind:
        case "device":
            _check_device(source.target)
            capture = cv2.VideoCapture(source.target, cv2.CAP_V4L2)
            failed = f"{source.shown} is not a camera that gives pictures, or another program is using it"
        case "url":
            patience_ms = int(source.patience_s * 1e3)
            within = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience_ms]
            capture = cv2.VideoCapture(source.target, cv2.CAP_FFMPEG, within)
            failed = ""
        case _:
            _check_file(source.target)
            capture = cv2.VideoCapture(source.target, cv2.CAP_FFMPEG)
            failed = f"cannot read {source.shown!r} as a video"
    if not capture.isOpened():
        raise CameraUnavailable(failed or why_refused(source))
    return OpenCvCapture(capture)


def _check_device(path: str) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except FileNotFoundError as error:
        there = ", ".join(sorted(str(each) for each in Path("/dev").glob("video*")))
        raise CameraUnavailable(f"there is no camera {path} (there is {there or 'no /dev/video* at all'})") from error
    except PermissionError as error:
        raise CameraUnavailable(
            f"you may not use {path}: sudo usermod -aG video $USER, and log in again (a service: "
            "SupplementaryGroups=video)"
        ) from error
    except OSError as error:
        raise CameraUnavailable(f"cannot open {path}: {error.strerror}") from error


def _check_file(path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise CameraUnavailable(f"cannot read {path!r}: {getattr(error, 'strerror', None) or error}") from error
