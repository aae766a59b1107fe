"""A USB camera, read with OpenCV alone: `python usb_camera.py [NUMBER OR FILE]`. Ctrl-C ends it.

It keeps the last picture, with the answer drawn on it, as seen.jpg.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

import cv2
import numpy as np

from collab_sdk import Client


def frames(source: str) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not capture.isOpened():
        sys.exit(f"cannot open {source}: is it there, and are you in the group video?")
    while True:
        came, frame = capture.read()
        if not came:
            return
        yield frame


def main(source: str = "0") -> None:
    # OpenCV's frames are blue, green, red.
    with Client(channels="bgr") as client, suppress(KeyboardInterrupt):
        for frame in frames(source):
            result = client.infer(frame, "80ms", stream="usb")
            print(result, flush=True)
            result.draw(frame, "bgr").save("seen.jpg")


if __name__ == "__main__":
    main(*sys.argv[1:])
