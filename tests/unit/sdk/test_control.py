"""What the control client asks of a real server on a real socket, and what it makes of the answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collab_sdk import wire
from collab_sdk._socket_path import SYSTEM_SOCKET, own_socket, socket_path
from collab_sdk.control import ControlClient
from collab_sdk.errors import DaemonFault, DaemonUnavailable, DeadlineExceeded, NotReady
from tests.unit.sdk.conftest import Answer, LittleDaemon

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Asked


@pytest.fixture
def client(daemon: LittleDaemon) -> Iterator[ControlClient]:
    with ControlClient(daemon.path, timeout_s=10) as client:
        yield client


def test_the_daemons_own_calls(client: ControlClient, daemon: LittleDaemon, tmp_path: Path) -> None:
    daemon.script = lambda asked: daemon.json({"models": [{"name": "net"}], "asked": asked.body.decode()})

    assert client.status()["models"][0]["name"] == "net"
    assert [model["name"] for model in client.models()] == ["net"]
    client.config()
    client.profile("net", "80ms, 99%")
    client.layers("net")
    client.explain(3)
    client.unload_model("net")
    client.load_model(tmp_path / "a" / ".." / "package")

    assert daemon.paths() == [
        "GET /collab/v1/status",
        "GET /collab/v1/models",
        "GET /collab/v1/config",
        "GET /collab/v1/profile/net?budget=80ms%2C99%25",
        "GET /collab/v1/models/net",
        "GET /collab/v1/explain?last=3",
        "DELETE /collab/v1/models/net",
        "POST /collab/v1/models",
    ]
    assert wire.decode_json(daemon.asked[-1].body) == {"path": str(tmp_path / "package")}


def test_a_question_that_broke_off_is_asked_again_but_no_change(client: ControlClient, daemon: LittleDaemon) -> None:
    daemon.script = lambda _: daemon.break_off() if len(daemon.asked) % 2 else daemon.json({"models": []})

    assert client.models() == []
    assert len(daemon.asked) == 2
    for change in (lambda: client.unload_model("net"), lambda: client.load_model("/p")):
        daemon.asked.clear()
        with pytest.raises(DaemonUnavailable, match="closed the connection"):
            change()
        assert len(daemon.asked) == 1


def test_ready_says_whether_calls_would_be_served(client: ControlClient, daemon: LittleDaemon, tmp_path: Path) -> None:
    daemon.script = lambda _: daemon.json({"ready": True})
    assert client.ready()

    daemon.script = lambda _: daemon.json({"ready": False}, NotReady.http_status)
    assert not client.ready()
    assert not ControlClient(tmp_path / "nobody").ready()

    daemon.script = lambda _: daemon.raw(b"oh", 500)
    with pytest.raises(DaemonFault, match="500: oh"):
        client.ready()


def test_wait_returns_once_all_is_loaded_and_profiled(client: ControlClient, daemon: LittleDaemon) -> None:
    def script(asked: Asked) -> Answer:
        turn = len(daemon.asked)
        if asked.path == "/v2/health/ready":
            return daemon.json({}, 200 if turn > 2 else NotReady.http_status)
        return daemon.json({"models": [{"name": "a", "profiled": True}, {"name": "b", "profiled": turn > 5}]})

    daemon.script = script
    client.wait(timeout_s=10)
    assert len(daemon.asked) == 3

    client.wait(timeout_s=10, profiled=True)
    assert daemon.paths()[-1] == "GET /collab/v1/models"
    assert len(daemon.asked) == 7


def test_wait_says_what_it_waited_for(client: ControlClient, daemon: LittleDaemon, tmp_path: Path) -> None:
    daemon.script = lambda _: daemon.json({"models": [{"name": "b", "profiled": False}]})
    with pytest.raises(DeadlineExceeded, match="still profiling b"):
        client.wait(timeout_s=0.5, profiled=True)

    daemon.script = lambda _: daemon.json({}, NotReady.http_status)
    with pytest.raises(DeadlineExceeded, match="still loading"):
        client.wait(timeout_s=0.5)
    with pytest.raises(DeadlineExceeded, match="it is not running"):
        ControlClient(tmp_path / "nobody").wait(timeout_s=0.5)

    release = threading.Event()
    daemon.script = lambda _: daemon.raw(str(release.wait(10)).encode())
    with pytest.raises(DeadlineExceeded, match="it does not answer"):
        client.wait(timeout_s=0.5)
    release.set()


def test_a_daemon_that_starts_after_its_client_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("COLLABD_SOCKET", raising=False)
    own = own_socket()
    with ControlClient() as client:
        assert client.socket == SYSTEM_SOCKET
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(client.wait, 20)
            own.parent.mkdir()
            late = LittleDaemon(own, lambda _: Answer(b"{}"))
            waiting.result()
        late.stop()
        assert client.socket == own, "a daemon that restarts is waited for where it was"


def test_whose_runtime_directory_cannot_be_looked_into_asks_the_service(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert socket_path(None, {"XDG_RUNTIME_DIR": str(tmp_path / "file")}) == SYSTEM_SOCKET
    assert socket_path(None, {"XDG_RUNTIME_DIR": "/proc/1/root"}) == SYSTEM_SOCKET
    assert own_socket({}) == Path(f"/run/user/{os.getuid()}/collabd/collabd.sock")


def test_where_the_socket_is(tmp_path: Path) -> None:
    own = tmp_path / "collabd" / "collabd.sock"
    user = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert socket_path(None, {}) == socket_path(None, user) == Path("/run/collabd/collabd.sock")

    own.parent.mkdir()
    own.touch()

    assert socket_path(None, user) == own
    assert socket_path(None, user | {"COLLABD_SOCKET": "/a"}) == Path("/a")
    assert socket_path("/b", user | {"COLLABD_SOCKET": "/a"}) == Path("/b")
