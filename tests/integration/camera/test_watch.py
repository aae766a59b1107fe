"""`collabctl watch` as a user runs it, at 80 columns, on films and on a camera in the network."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests

from tests.integration.camera.broker import WRONG, Listener, MqttBroker, broker_file, needs_mosquitto, until
from tests.integration.camera.conftest import PERSON, WINE, Runner, video
from tests.integration.camera.rtsp import RtspServer, needs_rtsp
from tests.patience import PROGRAM_S

LINE = re.compile(r"\d\d:\d\d:\d\d  (.+?)  +(device|inherited) +\d+ ms")


def test_a_film_is_told_in_a_few_lines(programs: Runner, film: Path) -> None:
    with programs.collabctl("watch", film, "--model", "nanodet_g") as watch:
        assert watch.end() == 0, watch.errors
    found = [LINE.fullmatch(line) for line in watch.lines]
    assert all(found), watch.lines
    assert all(len(line) == 80 for line in watch.lines)
    seen = [each[1] for each in found if each]
    assert seen[0].startswith("person 0.")
    assert any("wine glass 0." in each and "person" not in each for each in seen[1:-1])
    assert seen[-1].startswith("person 0.")
    assert watch.errors == ["collabctl: 30 pictures: 30 answered on the device, 0 inherited, 0 dropped"]


def test_lines_of_json(programs: Runner, film: Path) -> None:
    with programs.collabctl("watch", film, "--json") as watch:
        assert watch.end() == 0, watch.errors
    reports = [json.loads(line) for line in watch.lines]
    assert len(reports) >= 3
    assert {report["model"] for report in reports} == {"efficientnet_lite0"}
    assert all(len(report["seen"]) == 1 and report["where"] == "device" for report in reports)


@needs_rtsp
def test_a_camera_that_goes_and_comes_back_until_ctrl_c(programs: Runner, film: Path) -> None:
    with RtspServer(film) as server, programs.collabctl("watch", server.url, "--model", "nanodet_g") as watch:
        watch.until(lambda: watch.lines)
        server.kill()
        watch.until(lambda: watch.errors == [f"collabctl: {server.url} gives no more pictures; waiting for it"])
        server.start()
        # It plays the film from the start to its end, which for a camera is another loss.
        watch.until(lambda: sum("no more pictures" in line for line in watch.errors) == 2)
        assert watch.errors[1] == "collabctl: the camera is back"
        assert watch.interrupt() == 0
    counts = re.fullmatch(
        r"collabctl: (\d+) pictures: (\d+) answered on the device, 0 inherited, (\d+) dropped", watch.errors[-1]
    )
    assert counts is not None, watch.errors
    total, answered, dropped = map(int, counts.groups())
    assert total == answered + dropped >= 25
    assert answered >= 3


@needs_rtsp
@pytest.mark.parametrize("login", [(), ("me", "a word")])
def test_a_password_from_netrc_that_is_nowhere_shown(programs: Runner, film: Path, login: tuple[str, ...]) -> None:
    """With it the camera opens; without, the message says where it belongs."""
    if login:
        netrc = programs.directory / ".netrc"
        netrc.write_text(f'machine 127.0.0.1 login {login[0]} password "{login[1]}"\n')
        netrc.chmod(0o600)
    with RtspServer(film, "me", "a word") as server, programs.collabctl("watch", server.url) as watch:
        if login:
            watch.until(lambda: watch.lines)
            server.kill()
            watch.until(lambda: watch.errors)
            assert "word" not in " ".join(watch.errors)
        else:
            assert watch.end() == 1
            assert "it wants a user and a password: give them in ~/.netrc (machine 127.0.0.1" in watch.errors[-1]


def test_what_cannot_be_watched(programs: Runner) -> None:
    for source, says in {
        "7": "there is no camera /dev/video7",
        "nothing.mp4": "cannot read 'nothing.mp4': No such file or directory",
        "http://127.0.0.1:1/": "http://127.0.0.1:1/: 127.0.0.1 refuses the connection",
        "gopher://camera": "is not the URL of a camera: it begins with rtsp://, rtsps://, http://, https://",
        "picamera2": "sudo apt install python3-picamera2",
    }.items():
        with programs.collabctl("watch", source) as watch:
            assert watch.end() == 1
        assert says in watch.errors[-1]
        assert len(watch.errors) == 1


def test_boxes_in_a_browser(programs: Runner, tmp_path: Path) -> None:
    still = video(tmp_path / "still.avi", PERSON, frames=800)
    with programs.collabctl("watch", still, "--model", "nanodet_g", "--mjpeg", "0") as watch:
        watch.until(lambda: watch.errors)
        url = watch.errors[0].removeprefix("collabctl: the pictures are at ")
        with requests.get(f"{url}stream.mjpg", stream=True, timeout=PROGRAM_S) as reply:
            assert reply.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
            raw = reply.raw
            for _ in range(2):
                assert raw.readline().strip() == b"--picture"
                assert raw.readline().strip() == b"Content-Type: image/jpeg"
                length = int(raw.readline().split()[1])
                raw.readline()
                drawn = cv2.imdecode(np.frombuffer(raw.read(length), np.uint8), cv2.IMREAD_COLOR)
                raw.readline()
                assert drawn is not None
                assert drawn.shape == PERSON.shape
        assert watch.interrupt() == 0


@needs_mosquitto
def test_home_assistant_hears_of_a_person_and_of_the_end(programs: Runner, tmp_path: Path) -> None:
    still = video(tmp_path / "still.avi", WINE, PERSON, frames=400)
    with MqttBroker(tmp_path) as broker, Listener(broker) as ear:
        file = broker_file(tmp_path / "mqtt.toml", broker)
        words = ("watch", still, "--model", "nanodet_g", "--stream", "gate", "--mqtt", file)
        with programs.collabctl(*words) as watch:
            until(lambda: ear.last("/state") or watch.process.poll() is not None)
            assert ear.last("/state")["person"] is False, watch.errors
            assert ear.last("person/config")["device"]["name"] == "gate"
            # As systemd ends it.
            os.kill(watch.pid, signal.SIGTERM)
            assert watch.end() == 0
            until(lambda: ear.last("/available") == "offline")
    assert "answered on the device" in watch.errors[-1]


@needs_mosquitto
def test_a_broker_that_refuses_ends_the_command(programs: Runner, film: Path, tmp_path: Path) -> None:
    with MqttBroker(tmp_path) as broker:
        file = broker_file(tmp_path / "mqtt.toml", broker, **WRONG)
        with programs.collabctl("watch", film, "--mqtt", file) as watch:
            assert watch.end() == 1
    assert watch.errors == [
        f"collabctl: the MQTT broker at 127.0.0.1:{broker.port} refuses us: Not authorized",
    ]
