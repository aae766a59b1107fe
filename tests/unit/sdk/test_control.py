"""What the control client asks of a daemon, and what it makes of the answers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collab_sdk import wire
from collab_sdk._socket_path import SYSTEM_SOCKET, own_socket, socket_path
from collab_sdk.control import ControlClient
from collab_sdk.errors import DaemonFault, DaemonUnavailable, DeadlineExceeded, NotReady
from collab_sdk.transport import ConnectionBroke, DaemonReply, DaemonRequest
from collab_sdk.unix import UnixTransport
from tests.patience import PATIENCE_S
from tests.served import ServedDaemon
from tests.unit.sdk.conftest import HandClock, ScriptedDaemon, as_json


@pytest.fixture
def client(daemon: ScriptedDaemon, clock: HandClock) -> ControlClient:
    return ControlClient(timeout_s=10, transport=daemon, clock=clock)


def test_the_daemons_own_calls(client: ControlClient, daemon: ScriptedDaemon, tmp_path: Path) -> None:
    daemon.script = lambda _: as_json({"models": [{"name": "net"}]})

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
    assert wire.decode_json(daemon.requests[-1].message.body()) == {"path": str(tmp_path / "package")}


def test_a_question_that_broke_off_is_asked_again_but_no_change(client: ControlClient, daemon: ScriptedDaemon) -> None:
    def script(_: DaemonRequest) -> DaemonReply:
        if len(daemon.requests) % 2:
            raise ConnectionBroke("it closed the connection")
        return as_json({"models": []})

    daemon.script = script

    assert client.models() == []
    assert len(daemon.requests) == 2
    for change in (lambda: client.unload_model("net"), lambda: client.load_model("/p")):
        daemon.requests.clear()
        with pytest.raises(DaemonUnavailable, match="closed the connection"):
            change()
        assert len(daemon.requests) == 1


def test_ready_says_whether_calls_would_be_served(
    client: ControlClient, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    daemon.script = lambda _: as_json({"ready": True})
    assert client.ready()

    daemon.script = lambda _: as_json({"ready": False}, NotReady.http_status)
    assert not client.ready()
    assert not ControlClient(tmp_path / "nobody").ready()

    daemon.script = lambda _: DaemonReply(500, b"oh")
    with pytest.raises(DaemonFault, match="500: oh"):
        client.ready()


def test_wait_returns_once_all_is_loaded_and_profiled(client: ControlClient, daemon: ScriptedDaemon) -> None:
    def script(asked: DaemonRequest) -> DaemonReply:
        turn = len(daemon.requests)
        if asked.url == "/v2/health/ready":
            return as_json({}, 200 if turn > 2 else NotReady.http_status)
        return as_json({"models": [{"name": "a", "profiled": True}, {"name": "b", "profiled": turn > 5}]})

    daemon.script = script
    client.wait(timeout_s=10)
    assert len(daemon.requests) == 3

    client.wait(timeout_s=10, profiled=True)
    assert daemon.paths()[-1] == "GET /collab/v1/models"
    assert len(daemon.requests) == 7


def test_wait_for_companions_returns_once_they_serve_or_refuse_or_are_down(
    client: ControlClient, daemon: ScriptedDaemon
) -> None:
    states = [
        {"state": "unknown", "awaited": [], "lacks": {}},
        {"state": "up", "awaited": ["sha256:a"], "lacks": {}},
        {"state": "up", "awaited": ["sha256:a"], "lacks": {"sha256:a": "is still measuring the package"}},
        {"state": "up", "awaited": [], "lacks": {"sha256:a": "refused the package: it is too large"}},
    ]

    def script(asked: DaemonRequest) -> DaemonReply:
        if asked.url == "/v2/health/ready":
            return as_json({})
        down = {"name": "cluster", "state": "down", "awaited": [], "lacks": {}}
        return as_json(
            {"models": [{"digest": "sha256:a", "name": "net"}], "clouds": [down, {"name": "pc"} | states.pop(0)]}
        )

    daemon.script = script
    told: list[str] = []
    client.wait(timeout_s=10, companions=True, tell=told.append)
    assert states == []
    assert told == [
        "pc has not answered yet",
        "net: pc has not said yet whether it holds the package",
        "net: pc is still measuring the package",
    ]


def test_wait_says_what_it_waited_for(
    client: ControlClient, daemon: ScriptedDaemon, clock: HandClock, tmp_path: Path
) -> None:
    daemon.script = lambda _: as_json({"models": [{"name": "b", "profiled": False}]})
    with pytest.raises(DeadlineExceeded, match="still profiling b"):
        client.wait(timeout_s=0.5, profiled=True)

    daemon.script = lambda _: as_json({}, NotReady.http_status)
    with pytest.raises(DeadlineExceeded, match="still loading"):
        client.wait(timeout_s=0.5)
    with pytest.raises(DeadlineExceeded, match="it is not running"):
        ControlClient(tmp_path / "nobody", clock=clock).wait(timeout_s=0.5)

    def late(_: DaemonRequest) -> DaemonReply:
        clock.now += 1
        raise DeadlineExceeded("late")

    daemon.script = late
    with pytest.raises(DeadlineExceeded, match="it does not answer"):
        client.wait(timeout_s=0.5)


def test_a_daemon_that_starts_after_its_client_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("COLLABD_SOCKET", raising=False)
    own, transport = own_socket(), UnixTransport()
    with ControlClient(transport=transport) as client:
        assert transport.path == SYSTEM_SOCKET
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(client.wait, PATIENCE_S)
            own.parent.mkdir()
            late = ServedDaemon(own, lambda _: DaemonReply(200, b"{}"))
            waiting.result(PATIENCE_S)
        late.stop()
        assert transport.path == own, "a daemon that restarts is waited for where it was"


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
