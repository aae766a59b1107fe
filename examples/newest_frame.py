"""A camera in the network, always its newest frame: `python newest_frame.py rtsp://USER:PASSWORD@HOST/PATH`.

However slow the answers are, none is about an old frame, and no frames queue up. A camera that was
lost is opened again.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from collab_sdk import CameraUnavailable, Client
from collab_sdk.camera import Camera


def lost_or_back(lost: CameraUnavailable | None) -> None:
    print("back" if lost is None else lost, file=sys.stderr, flush=True)


def main(source: str) -> None:
    with Camera(source, on_change=lost_or_back) as camera, Client(channels="bgr") as client:
        for result in client.stream(camera, "150ms", latest=True):
            print(result, f"· {result.dropped} dropped", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
