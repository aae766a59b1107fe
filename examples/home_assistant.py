"""A camera as sensors of Home Assistant: `python home_assistant.py SOURCE mqtt.toml [NAME]`.

mqtt.toml names the broker, and `chmod 600 mqtt.toml` keeps its password from others:

    host = "homeassistant.local"
    user = "collabd"
    password = "..."
"""

from __future__ import annotations

import sys
from contextlib import suppress

from collab_sdk import Client
from collab_sdk.camera import Camera
from collab_sdk.mqtt import Broker, HomeAssistant


def main(source: str, broker: str, name: str = "front door") -> None:
    with (
        HomeAssistant(Broker.read(broker), name) as home,
        Camera(source, on_change=lambda lost: home.set_available(lost is None)) as camera,
        Client(channels="bgr") as client,
    ):
        for result in client.stream(camera, latest=camera.is_live, model="nanodet_g", stream=name):
            home.publish(result)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
