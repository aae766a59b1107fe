"""Tells Home Assistant, over MQTT, what a camera sees. This module imports paho-mqtt (``collab-sdk[mqtt]``).

>>> from collab_sdk.mqtt import Broker, HomeAssistant
>>> with HomeAssistant(Broker.read("mqtt.toml"), "front door") as home:  # doctest: +SKIP
...     for result in client.stream(camera, latest=True):
...         home.publish(result)

Home Assistant finds the entities by itself (its MQTT discovery): *Seen*, what the camera sees, with all that is known
of it as attributes; *Person*, whether somebody is seen, if the network knows persons; *People*, how many, if it counts.
They are unavailable while the camera is lost, or the program does not run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import stat
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from collab_sdk._version import __version__
from collab_sdk.errors import BrokerUnavailable, InvalidRequest, MissingDependency
from collab_sdk.result import Result
from collab_sdk.seen import Steady, seen_in, where_ran
from collab_sdk.vocabulary import TaskKind

try:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
except ImportError as error:
    raise MissingDependency("MQTT needs paho-mqtt 2 or newer: pip install 'collab-sdk[mqtt]'") from error

__all__ = ["Broker", "HomeAssistant"]

ONLINE, OFFLINE = "online", "offline"
PERSON = "person"
_AT_LEAST_ONCE = 1
# Where paho gives the broker's word to `on_connect`: client, userdata, flags, reason, properties.
_REASON = 3
_KEEP_ALIVE_S = 30
# Seconds that the broker has to answer at the start, and for the last message.
_PATIENCE_S = 10.0
_LAST_WORDS_S = 2.0
# Seconds between two tries to come back: the first, and the longest.
_RETRY_S = (1, 30)
# Seconds after which the state is sent again although it has not changed: its times and sureness have.
_REFRESH_S = 30.0
# Home Assistant takes no longer states.
_LONGEST_STATE = 255
_PORT, _TLS_PORT = 1883, 8883
# The keys of a broker's file.
_KINDS = {"host": str, "port": int, "user": str, "password": str, "tls": bool, "ca_file": str, "discovery_prefix": str}


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Where an MQTT broker is, and who we are to it. ``port`` None: 1883, or 8883 with TLS.

    ``ca_file``: the authority of the broker's certificate, if not one that the system knows; with it TLS is on.
    """

    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None
    discovery_prefix: str = "homeassistant"

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """The broker that a TOML file describes, with keys as the fields here.

        `InvalidRequest`: the file cannot be read, has other keys or values, or a password that others may read.
        """
        try:
            with Path(path).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                given = tomllib.load(file)
        except (OSError, ValueError) as error:
            raise InvalidRequest(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
        for key, value in given.items():
            if key not in _KINDS:
                raise InvalidRequest(f"{path}: {key!r} is none of {', '.join(_KINDS)}")
            if type(value) is not _KINDS[key]:
                raise InvalidRequest(f"{path}: {key} must be a {_KINDS[key].__name__}")
        if not given.get("host"):
            raise InvalidRequest(f'{path} does not name the broker, such as host = "homeassistant.local"')
        if "password" in given and mode & (stat.S_IRGRP | stat.S_IROTH):
            raise InvalidRequest(f"{path} holds a password that others can read: chmod 600 {path}")
        return cls(**given)


class HomeAssistant:
    """A camera as a device of Home Assistant.

    ``camera``: the name that it is to have there. With the machine it makes the ids of the entities, which stay what
    they are over restarts. `BrokerUnavailable`: the broker cannot be reached, or refuses us. A broker that goes away
    later is come back to, and then gets what it missed: the newest state, not those between. Any thread may call.
    """

    def __init__(self, broker: Broker, camera: str) -> None:
        self._broker = broker
        self._name = camera
        self._id = f"collabd_{_machine()}_{re.sub(r'[^a-zA-Z0-9_-]+', '_', camera)}"
        self._topic = f"collabd/{self._id.removeprefix('collabd_').replace('_', '/', 1)}"
        self._lock = threading.Lock()
        self._steady = Steady()
        self._told_at = -_REFRESH_S
        self._is_there = True
        # What the broker keeps for Home Assistant, which may start later than we do.
        self._kept: dict[str, str] = {}
        self._digest: str | None = None
        self._answered = threading.Event()
        self._refusal = ""
        self._client = self._made()
        self._connect()

    def publish(self, result: Result) -> None:
        """Tell what an answer says, if that has changed (`collab_sdk.seen.Steady`), or not been told for a while.

        `WrongTask`: the network answers with tensors.
        """
        with self._lock:
            now = time.monotonic()
            if not self._steady.is_changed_by(seen_in(result)) and now < self._told_at + _REFRESH_S:
                return
            seen = self._steady.seen
            self._told_at = now
            if result.digest != self._digest:
                self._digest = result.digest
                for topic, config in self._entities(result):
                    self._keep(topic, json.dumps(config))
            state = {
                "seen": ", ".join(seen.counts)[:_LONGEST_STATE] or "nothing",
                "person": PERSON in seen.counts,
                "people": seen.counts.get(PERSON, 0),
                "counts": seen.counts,
                "sureness": {each.name: round(each.sureness, 3) for each in seen.things},
                "model": result.model,
                "where": where_ran(result),
                "latency_ms": None if result.measured.latency_ms is None else round(result.measured.latency_ms, 1),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            self._keep(f"{self._topic}/state", json.dumps(state))

    def set_available(self, is_there: bool) -> None:
        """Say whether the camera gives pictures."""
        with self._lock:
            self._is_there = is_there
            self._keep(f"{self._topic}/available", ONLINE if is_there else OFFLINE)

    def close(self) -> None:
        """Say that nobody looks any more, and go."""
        last = None
        with self._lock:
            if self._client.is_connected():
                last = self._send(f"{self._topic}/available", OFFLINE)
        if last is not None:
            last.wait_for_publish(_LAST_WORDS_S)
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _made(self) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._has_tls():
            try:
                client.tls_set_context(ssl.create_default_context(cafile=self._broker.ca_file))
            except (OSError, ValueError) as error:
                raise BrokerUnavailable(f"cannot read the authority {self._broker.ca_file!r}: {error}") from error
        client.will_set(f"{self._topic}/available", OFFLINE, qos=_AT_LEAST_ONCE, retain=True)
        client.reconnect_delay_set(*_RETRY_S)
        client.on_connect = self._on_connect
        # What was on its way when the connection broke is sent again before this is called, so the newest comes last.
        client.on_subscribe = lambda *_: self._arrive()
        client.on_message = self._on_message
        return client

    def _connect(self) -> None:
        host, port = self._broker.host, self._broker.port or (_TLS_PORT if self._has_tls() else _PORT)
        where = f"the MQTT broker at {host}:{port}"
        try:
            self._client.connect(host, port, _KEEP_ALIVE_S)
        except ssl.SSLError as error:
            raise BrokerUnavailable(f"no TLS with {where}: {getattr(error, 'verify_message', error.reason)}") from error
        except (OSError, ValueError) as error:
            raise BrokerUnavailable(f"cannot reach {where}: {getattr(error, 'strerror', None) or error}") from error
        self._client.loop_start()
        if not self._answered.wait(_PATIENCE_S) or self._refusal:
            self._client.disconnect()
            self._client.loop_stop()
            why = f"refuses us: {self._refusal}" if self._refusal else "does not answer as a broker does"
            raise BrokerUnavailable(f"{where} {why}")

    def _has_tls(self) -> bool:
        return self._broker.tls or self._broker.ca_file is not None

    def _on_connect(self, *given: Any) -> None:
        reason = given[_REASON]
        self._refusal = str(reason) if reason.is_failure else ""
        if reason.is_failure:
            self._answered.set()
        else:
            # Home Assistant says here that it has started.
            self._client.subscribe(f"{self._broker.discovery_prefix}/status", _AT_LEAST_ONCE)

    def _arrive(self) -> None:
        self._announce()
        # Only now, so that what is published from here on is not told twice.
        self._answered.set()

    def _on_message(self, _: paho.Client, __: Any, message: Any) -> None:
        if message.payload == ONLINE.encode() and not message.retain:
            self._announce()

    def _announce(self) -> None:
        """Tell all that is known, to a broker that may have forgotten it."""
        with self._lock:
            self._kept[f"{self._topic}/available"] = ONLINE if self._is_there else OFFLINE
            for topic, payload in self._kept.items():
                self._send(topic, payload)

    def _keep(self, topic: str, payload: str) -> None:
        """Send it, and after each new connection again. While there is none, nothing queues up."""
        self._kept[topic] = payload
        if self._client.is_connected():
            self._send(topic, payload)

    def _send(self, topic: str, payload: str) -> paho.MQTTMessageInfo:
        return self._client.publish(topic, payload, qos=_AT_LEAST_ONCE, retain=True)

    def _entities(self, result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
        """The topic and the content of the discovery message of each entity."""
        attributes = f"{self._topic}/state"
        yield self._entity("sensor", "seen", json_attributes_topic=attributes, icon="mdi:eye", result=result)
        if PERSON in result.labels:
            template = "{{ 'ON' if value_json.person else 'OFF' }}"
            yield self._entity(
                "binary_sensor", "person", device_class="occupancy", value_template=template, result=result
            )
            if result.task == TaskKind.DETECT:
                yield self._entity("sensor", "people", state_class="measurement", icon="mdi:counter", result=result)

    def _entity(self, platform: str, key: str, *, result: Result, **more: str) -> tuple[str, dict[str, Any]]:
        unique_id = f"{self._id}_{key}"
        config = {
            "name": key.capitalize(),
            "unique_id": unique_id,
            "state_topic": f"{self._topic}/state",
            "value_template": f"{{{{ value_json.{key} }}}}",
            "availability_topic": f"{self._topic}/available",
            "qos": _AT_LEAST_ONCE,
            "device": {
                "identifiers": [self._id],
                "name": self._name,
                "manufacturer": "collabd",
                "model": result.model,
                "sw_version": __version__,
            },
            "origin": {"name": "collabd", "sw_version": __version__},
        }
        return f"{self._broker.discovery_prefix}/{platform}/{unique_id}/config", config | more


def _machine() -> str:
    """Eight letters that are always the same on this machine, and do not tell its id (machine-id(5))."""
    try:
        known = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    return hashlib.sha256(f"collabd camera {known or os.uname().nodename}".encode()).hexdigest()[:8]
