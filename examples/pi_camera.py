"""A camera at the ribbon cable of a Raspberry Pi, read with picamera2: `python pi_camera.py`. Ctrl-C ends it.

Raspberry Pi OS has picamera2 (`sudo apt install python3-picamera2`). A virtual environment sees it if it was made with
`--system-site-packages`.
"""

from __future__ import annotations

from contextlib import suppress

from picamera2 import Picamera2

from collab_sdk import Client


def main() -> None:
    camera = Picamera2()
    camera.configure(camera.create_video_configuration(main={"size": (1280, 720), "format": "RGB888"}))
    camera.start()
    # picamera2 names a format by the word in memory, so in an array the bytes of "RGB888" are blue, green, red. For
    # "BGR888" say "rgb", for "XBGR8888" "rgbx", and for "XRGB8888" "bgrx".
    with Client(channels="bgr") as client, suppress(KeyboardInterrupt):
        while True:
            print(client.infer(camera.capture_array(), "200ms"), flush=True)
    camera.close()


if __name__ == "__main__":
    main()
