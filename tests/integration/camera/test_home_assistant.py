"""What Home Assistant hears of a camera, from a real broker: discovery, states, the last will, and coming back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collab_sdk.errors import BrokerUnavailable, InvalidRequest
from collab_sdk.mock import mock_detections, mock_result
from collab_sdk.mqtt import Broker, HomeAssistant
from collab_sdk.result import Result
from collabd.ctl.pair import certificates
from tests.integration.camera.broker import WRONG, Listener, MqttBroker, broker_file, needs_mosquitto, until
from tests.integration.camera.conftest import PERSON, Runner, video

pytestmark = needs_mosquitto

BOX = (0.0, 0.0, 9.0, 9.0)
# What Home Assistant's schemas know of a sensor and of a binary sensor, of what we use.
KNOWN = {
    *("name", "unique_id", "state_topic", "value_template", "availability_topic", "qos", "device", "origin"),
    *("json_attributes_topic", "icon", "state_class", "device_class"),
}
NEEDED = {"name", "unique_id", "state_topic", "availability_topic", "device", "origin"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MqttBroker]:
    with MqttBroker(tmp_path) as it:
        yield it


def persons(count: int, sure: float = 0.9) -> Result:
    return mock_detections([("person", sure, BOX)] * count, labels=["person", "dog"])


def joined(tmp_path: Path, broker: MqttBroker, name: str = "front door") -> HomeAssistant:
    return HomeAssistant(Broker.read(broker_file(tmp_path / "mqtt.toml", broker)), name)


def configurations(ear: Listener) -> dict[str, dict[str, Any]]:
    return {topic: ear.last(topic) for topic in ear.topics() if topic.endswith("/config")}


def test_home_assistant_finds_the_sensors(tmp_path: Path, broker: MqttBroker) -> None:
    with joined(tmp_path, broker) as home:
        home.publish(persons(2))
        with Listener(broker) as first:
            until(lambda: len(configurations(first)) == 3 and first.last("/state"))
        # It starts later, and learns what the broker has kept.
        with Listener(broker) as ear:
            until(lambda: len(configurations(ear)) == 3 and ear.last("/state") and ear.last("/available"))
            found, state = configurations(ear), ear.last("/state")
            assert ear.topics() == ear.retained
    assert sorted(topic.split("/")[1] for topic in found) == ["binary_sensor", "sensor", "sensor"]
    for topic, said in found.items():
        prefix, _, node, config = topic.split("/")
        assert (prefix, node, config) == ("homeassistant", said["unique_id"], "config")
        assert set(node) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        assert said.keys() >= NEEDED
        assert said.keys() <= KNOWN
        assert said["device"]["identifiers"]
        assert said["device"]["name"] == "front door"
        assert said["origin"]["name"] == "collabd"
    person = next(said for said in found.values() if said["name"] == "Person")
    assert person["device_class"] == "occupancy"
    assert (state["seen"], state["person"], state["people"]) == ("person", True, 2)


def test_a_classifier_that_knows_no_person_has_one_sensor(tmp_path: Path, broker: MqttBroker) -> None:
    with joined(tmp_path, broker) as home, Listener(broker) as ear:
        home.publish(mock_result({"espresso": 0.9, "cup": 0.1}))
        until(lambda: ear.last("/state"))
        assert [said["name"] for said in configurations(ear).values()] == ["Seen"]
        assert ear.last("/state")["seen"] == "espresso"


def test_the_state_follows_what_is_seen_and_not_a_flicker(tmp_path: Path, broker: MqttBroker) -> None:
    with joined(tmp_path, broker) as home, Listener(broker) as ear:
        for count in (1, 0, 1, 1, 2, 1, 2, 2, 2, 2):
            home.publish(persons(count))
        until(lambda: (ear.last("/state") or {"people": 0})["people"] == 2)
        states = [topic for topic, _ in ear.heard if topic.endswith("/state")]
        assert len(states) == 2


def test_ids_are_the_same_after_a_restart(tmp_path: Path, broker: MqttBroker) -> None:
    def ids(name: str, expected: int) -> set[str]:
        with joined(tmp_path, broker, name) as home, Listener(broker) as ear:
            home.publish(persons(1))
            until(lambda: len(configurations(ear)) == expected)
            return {said["unique_id"] for said in configurations(ear).values()}

    assert ids("front door", 3) == ids("front door", 3) < ids("back door", 6)


def test_it_comes_back_to_a_broker_that_has_forgotten_everything(tmp_path: Path, broker: MqttBroker) -> None:
    with joined(tmp_path, broker) as home:
        home.publish(persons(1))
        broker.stop()
        # Nothing of this queues up: the newest is what counts.
        for count in (2, 2, 3, 3, 3):
            home.publish(persons(count))
        broker.start()
        with Listener(broker) as ear:
            until(lambda: ear.last("/state") and len(configurations(ear)) == 3 and ear.last("/available") == "online")
            until(lambda: ear.last("/state")["people"] == 3)
            for _ in range(3):
                home.publish(persons(0))
            until(lambda: ear.last("/state")["people"] == 0)
            assert {ear.last("/state")["person"]} == {False}


def test_home_assistant_that_starts_is_told_again(tmp_path: Path, broker: MqttBroker) -> None:
    with joined(tmp_path, broker) as home, Listener(broker) as ear:
        home.publish(persons(1))
        until(lambda: ear.last("/state"))
        before = len(ear.heard)
        ear.say("homeassistant/status", "online")
        until(lambda: sum(topic.endswith("/config") for topic, _ in ear.heard[before:]) == 3)


def test_a_lost_camera_and_the_end_are_unavailable(tmp_path: Path, broker: MqttBroker) -> None:
    with Listener(broker) as ear:
        with joined(tmp_path, broker) as home:
            until(lambda: ear.last("/available") == "online")
            home.set_available(False)
            until(lambda: ear.last("/available") == "offline")
            home.set_available(True)
            until(lambda: ear.last("/available") == "online")
        until(lambda: ear.last("/available") == "offline")


def test_the_example_and_its_last_will(programs: Runner, tmp_path: Path, broker: MqttBroker) -> None:
    file = broker_file(tmp_path / "mqtt.toml", broker)
    still = video(tmp_path / "still.avi", PERSON, frames=800)
    with Listener(broker) as ear, programs.example("home_assistant", still, file) as program:
        until(lambda: program.process.poll() is not None or ear.last("/state"))
        assert ear.last("/state")["person"] is True, program.errors
        assert ear.last("/available") == "online"
        os.kill(program.pid, signal.SIGKILL)
        until(lambda: ear.last("/available") == "offline")


def test_what_a_broker_refuses(tmp_path: Path, broker: MqttBroker) -> None:
    wrong = Broker.read(broker_file(tmp_path / "wrong.toml", broker, **WRONG))
    with pytest.raises(BrokerUnavailable, match="refuses us: Not authorized"):
        HomeAssistant(wrong, "door")
    broker.stop()
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{broker.port}: Connection refused"):
        HomeAssistant(wrong, "door")
    broker.start()


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    certificate, key, authority = certified(tmp_path)
    (tmp_path / "broker").mkdir()
    with MqttBroker(tmp_path / "broker", tls=(certificate, key)) as broker:
        trusted = broker_file(tmp_path / "mqtt.toml", broker, ca_file=str(authority))
        with HomeAssistant(Broker.read(trusted), "door") as home:
            home.publish(persons(1))
        unknown = Broker(host="127.0.0.1", port=broker.port, tls=True)
        with pytest.raises(BrokerUnavailable, match="no TLS with the MQTT broker"):
            HomeAssistant(unknown, "door")


def certified(directory: Path) -> tuple[Path, Path, Path]:
    """Certificate and key for 127.0.0.1, and the authority that signed it."""
    issuer = certificates.authority("the test")
    pair = certificates.server(issuer, "broker", ["127.0.0.1"])
    written = directory / "certificate.pem", directory / "key.pem", directory / "authority.pem"
    for path, content in zip(written, (pair.certificate, pair.key, issuer.certificate), strict=True):
        path.write_bytes(content)
    return written


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ('host = "h"\npassword = "p"\n', 0o644, "chmod 600"),
        ('user = "u"\n', 0o600, "does not name the broker"),
        ('host = "h"\nprot = 1\n', 0o600, "'prot' is none of host, port"),
        ('host = "h"\nport = "1883"\n', 0o600, "port must be a int"),
        ("host = ", 0o600, "cannot read"),
    ],
)
def test_a_file_that_does_not_describe_a_broker(tmp_path: Path, text: str, mode: int, says: str) -> None:
    path = tmp_path / "mqtt.toml"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(InvalidRequest, match=says):
        Broker.read(path)
    with pytest.raises(InvalidRequest, match="No such file"):
        Broker.read(tmp_path / "nothing")
