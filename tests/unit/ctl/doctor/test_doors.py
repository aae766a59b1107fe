"""Whether the doors of the configuration are open, as doctor finds out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port

from collab_sdk.vocabulary import DoorKind
from collabd.config import DeviceConfig, DoorSettings
from collabd.ctl.doctor.context import DEVICE, Context, Settings
from collabd.ctl.doctor.doors import check_doors
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import ExaminedMachine
from tests.patience import joined


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/health/live" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers only what a door of the Open Inference Protocol answers."""
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        joined(thread)


def found(*doors: DoorSettings) -> list[Finding]:
    settings = Settings(DEVICE, Path("/etc/collabd/collabd.toml"), config=DeviceConfig(doors=doors))
    return list(check_doors(Context(ExaminedMachine(), Path("/nowhere"), settings=(settings,))))


@pytest.mark.parametrize(
    ("kind", "severity", "said"),
    [
        (DoorKind.OIP, "ok", "answers"),
        (DoorKind.DEEPSTACK, "error", "another program answers there (status 404)"),
        (DoorKind.FRIGATE_ZMQ, "ok", "answers"),
    ],
)
def test_what_answers_has_to_be_the_door(port: int, kind: DoorKind, severity: str, said: str) -> None:
    (finding,) = found(DoorSettings(kind=kind, listen=f"127.0.0.1:{port}"))
    assert finding.severity == severity
    assert said in finding.title


@pytest.mark.parametrize("kind", list(DoorKind))
def test_a_closed_door_is_an_error(kind: DoorKind) -> None:
    (finding,) = found(DoorSettings(kind=kind, listen=f"127.0.0.1:{unused_port()}"))
    assert finding.severity == "error"
    assert "connection refused" in finding.title
    assert "restart" in finding.advice


def test_a_door_for_all_without_keys_is_told_of(port: int) -> None:
    listen = f"0.0.0.0:{port}"
    (finding,) = found(DoorSettings(kind=DoorKind.OIP, listen=listen, insecure=True))
    assert finding.severity == "warning"
    assert "without keys" in finding.title


def test_a_door_may_be_a_path(tmp_path: Path) -> None:
    door = DoorSettings(kind=DoorKind.FRIGATE_ZMQ, listen=f"ipc://{tmp_path}/door.sock")
    (finding,) = found(door)
    assert (finding.severity, "no such file" in finding.title) == ("error", True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "door.sock"))
        listener.listen()
        (finding,) = found(door)
    assert finding.severity == "ok"


def test_a_door_whose_protocol_has_no_keys_is_not_told_to_get_some(port: int) -> None:
    (finding,) = found(DoorSettings(kind=DoorKind.FRIGATE_ZMQ, listen=f"0.0.0.0:{port}", insecure=True))
    assert finding.severity == "warning"
    assert "knows no keys" in finding.advice


def test_no_door_needs_no_finding() -> None:
    assert found() == []
