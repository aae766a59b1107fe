"""Boxes around what a camera sees, in a browser: `python boxes_in_browser.py SOURCE [LISTEN]`.

SOURCE is a number, picamera2, an rtsp:// or http:// URL, or a video file. LISTEN is a port of this machine's own
address, or HOST:PORT; 0.0.0.0:8090 shows the picture to the whole network, and asks nobody for a password.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from collab_sdk import Client
from collab_sdk.camera import Camera
from collab_sdk.mjpeg import MjpegServer


def main(source: str, listen: str = "8090") -> None:
    with MjpegServer(listen, name=source) as server, Camera(source) as camera, Client(channels="bgr") as client:
        print(f"look at {server.url}", flush=True)
        for result in client.stream(camera, latest=camera.is_live, model="nanodet_g"):
            # Drawn on the frame that the answer is about, which need not be the newest any more.
            if server.is_watched:
                server.show(result.draw(channels="bgr"))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
