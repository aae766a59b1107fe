"""A real mosquitto on the loopback, and a listener to what is published there."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.patience import PROGRAM_S

# Debian has it where a user's PATH does not look.
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PASSWD = shutil.which("mosquitto_passwd")
needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None or PASSWD is None, reason="needs mosquitto and mosquitto-clients"
)
USER, PASSWORD = "collabd", "a secret"
WRONG = {"password": "a guess"}


class MqttBroker:
    """Mosquitto with one user. ``tls``: certificate and key, for encrypted connections alone."""

    def __init__(self, directory: Path, *, tls: tuple[Path, Path] | None = None) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]
        passwords = directory / "passwords"
        assert PASSWD is not None
        subprocess.run([PASSWD, "-b", "-c", passwords, USER, PASSWORD], check=True, capture_output=True)
        passwords.chmod(0o644)
        settings = [f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}"]
        settings += [] if tls is None else [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        # In a test's directory, which belongs to who runs the tests.
        settings += ["user root", "persistence false"]
        self._settings = directory / "mosquitto.conf"
        self._settings.write_text("\n".join(settings) + "\n")
        self._log = directory / "mosquitto.log"
        self.start()

    def start(self) -> None:
        assert MOSQUITTO is not None
        with self._log.open("a") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self._settings], stdout=log, stderr=log)
        until(self._listens)

    def stop(self) -> None:
        """It forgets all that it kept."""
        # Mosquitto loses a SIGTERM that comes between its listening and its main loop.
        self._process.kill()
        self._process.wait(PROGRAM_S)

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def broker_file(path: Path, broker: MqttBroker, **more: str) -> Path:
    """As a user writes it."""
    given = {"host": "127.0.0.1", "port": broker.port, "user": USER, "password": PASSWORD} | more
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in given.items()))
    path.chmod(0o600)
    return path


class Listener:
    """Home Assistant's ear: all that is published, in order, and what each topic says last."""

    def __init__(self, broker: MqttBroker) -> None:
        self.heard: list[tuple[str, str]] = []
        self.retained: set[str] = set()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(PROGRAM_S)

    def last(self, part: str) -> Any:
        """What the topic with this part in its name says last; JSON is read."""
        said = [payload for topic, payload in list(self.heard) if part in topic]
        if not said:
            return None
        return json.loads(said[-1]) if said[-1].startswith("{") else said[-1]

    def topics(self) -> set[str]:
        return {topic for topic, _ in list(self.heard)}

    def say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(PROGRAM_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _: paho.Client, __: Any, message: Any) -> None:
        self.heard.append((message.topic, message.payload.decode()))
        if message.retain:
            self.retained.add(message.topic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def until(is_it: Callable[[], object]) -> None:
    """Return when this holds."""
    end = time.monotonic() + PROGRAM_S
    while not is_it():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
