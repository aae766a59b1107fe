"""Real sockets: kept connections, connections that break, and sockets with nobody behind."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from collab_sdk.client import Client
from collab_sdk.errors import DaemonUnavailable, DeadlineExceeded, PermissionRefused, ProtocolError, RequestTooLarge
from collab_sdk.result import Result
from collab_sdk.transport import ConnectionBroke, DaemonReply, DaemonRequest, QueueFull
from collab_sdk.unix import UnixTransport
from collab_sdk.wire import Message, decode_error, encode_error
from tests.patience import PATIENCE_S, joined, reached
from tests.served import ServedDaemon
from tests.unit.sdk.conftest import ScriptedDaemon, answer_with, as_json, inference, is_inference


@pytest.fixture
def transport(daemon: ScriptedDaemon, served: ServedDaemon) -> Iterator[UnixTransport]:
    daemon.script = lambda _: as_json({"turn": len(daemon.requests)})
    with closing(UnixTransport(served.path)) as transport:
        yield transport


def ask(transport: UnixTransport, timeout_s: float = 10, body: bytes = b"") -> bytes:
    return transport.send(DaemonRequest("POST", "/x", Message([body], {})), timeout_s=timeout_s).body


@contextmanager
def peer(path: Path, says: bytes, times: int = 1) -> Iterator[threading.Event]:
    """Whatever connects hears this, unheard, and no more. Gives the event that the first has been hung up on."""
    hung_up = threading.Event()

    def serve() -> None:
        for _ in range(times):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(says)
            hung_up.set()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE_S)
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield hung_up
        joined(thread)


def test_calls_one_after_another_share_a_connection(transport: UnixTransport, served: ServedDaemon) -> None:
    assert [ask(transport) for _ in range(3)] == [b'{"turn": 1}', b'{"turn": 2}', b'{"turn": 3}']
    assert served.connections == 1


def test_a_connection_that_broke_while_idle_is_replaced(transport: UnixTransport, served: ServedDaemon) -> None:
    ask(transport)
    served.hang_up()

    assert ask(transport) == b'{"turn": 2}'
    assert served.connections == 2


def test_a_connection_that_was_reset_while_idle_is_replaced(tmp_path: Path) -> None:
    # Closing with the request unread resets a Unix socket.
    path, says = tmp_path / "sock", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with peer(path, says, times=2) as hung_up, closing(UnixTransport(path)) as transport:
        assert ask(transport) == b"ok"
        reached(hung_up)  # the reset comes after the answer, and must not meet the next call
        assert ask(transport) == b"ok"


def test_a_call_that_broke_off_is_told_apart(
    transport: UnixTransport, daemon: ScriptedDaemon, served: ServedDaemon
) -> None:
    def break_off(_: DaemonRequest) -> DaemonReply:
        raise ConnectionBroke("")

    daemon.script = break_off

    with pytest.raises(ConnectionBroke, match=f"collabd at {served.path} closed the connection during the call"):
        ask(transport)
    assert len(daemon.requests) == 1


def test_an_answer_that_does_not_come_is_a_deadline_exceeded(transport: UnixTransport, daemon: ScriptedDaemon) -> None:
    release = threading.Event()
    daemon.script = lambda _: DaemonReply(200, str(release.wait(PATIENCE_S)).encode())
    with pytest.raises(DeadlineExceeded, match="timeout_s"):
        ask(transport, timeout_s=0.1)
    release.set()

    # The late answer must not become the next call's.
    daemon.script = lambda _: DaemonReply(200, b"next")
    assert ask(transport) == b"next"


def test_no_time_left_is_a_deadline_exceeded(transport: UnixTransport, daemon: ScriptedDaemon) -> None:
    with pytest.raises(DeadlineExceeded):
        ask(transport, timeout_s=-1)
    assert daemon.requests == []


def test_a_full_queue_is_told_apart(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, closing(UnixTransport(tmp_path / "sock")) as transport:
        listener.bind(str(tmp_path / "sock"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(tmp_path / "sock"))
            with pytest.raises(QueueFull, match="too many callers"):
                ask(transport)


def test_nobody_behind_the_socket_says_how_to_start_the_daemon(tmp_path: Path) -> None:
    refusing = tmp_path / "refusing"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(refusing))
    for path in (tmp_path / "missing", refusing):
        with pytest.raises(DaemonUnavailable, match=f"cannot reach collabd at {path}: it is not running.*systemctl"):
            ask(UnixTransport(path))
    with pytest.raises(DaemonUnavailable, match=r"cannot reach collabd at .*too long"):
        ask(UnixTransport(tmp_path / ("x" * 200)))


def test_a_socket_that_may_not_be_opened_says_which_group_to_join(served: ServedDaemon) -> None:
    served.path.chmod(0)
    user = os.geteuid()
    served.path.parent.chmod(0o700)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionRefused, match="join the group collab"):
            ask(UnixTransport(served.path))
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 hello\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n"])
def test_a_peer_that_speaks_no_http_is_a_protocol_error(tmp_path: Path, says: bytes) -> None:
    with peer(tmp_path / "sock", says), pytest.raises(ProtocolError, match="the program that answers is not collabd"):
        ask(UnixTransport(tmp_path / "sock"))


def test_half_an_answer_is_no_answer(tmp_path: Path) -> None:
    says = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    with peer(tmp_path / "sock", says), pytest.raises(ConnectionBroke, match="closed the connection"):
        ask(UnixTransport(tmp_path / "sock"))


def test_a_refusal_before_the_body_was_read_is_heard(tmp_path: Path) -> None:
    body = encode_error(RequestTooLarge("too much"))
    says = b"HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with peer(tmp_path / "sock", says):
        reply = ask(UnixTransport(tmp_path / "sock"), body=bytes(8 * 2**20))
    assert isinstance(decode_error(413, reply), RequestTooLarge)


def test_a_fork_does_not_share_its_parents_connections(transport: UnixTransport, served: ServedDaemon) -> None:
    ask(transport)
    parents = transport._idle[0]
    transport._owner = -1

    ask(transport)

    assert served.connections == 2
    parents.close()


def test_a_closed_transport_keeps_no_connection(transport: UnixTransport) -> None:
    ask(transport)
    transport.close()
    assert ask(transport) == b'{"turn": 2}'
    assert transport._idle == []


def test_threads_get_their_own_answers(
    daemon: ScriptedDaemon, served: ServedDaemon, changed: Callable[..., Result]
) -> None:
    def echo(asked: DaemonRequest) -> DaemonReply:
        tag = int(inference(asked).inputs[0].to_array()[0, 0, 0]) if is_inference(asked) else 0
        return answer_with(changed(bytes_up=tag))(asked)

    daemon.script = echo
    images = [np.full((1, 1, 3), tag, np.uint8) for tag in range(60)]
    with Client(served.path) as client, ThreadPoolExecutor(6) as pool:
        got = list(pool.map(client.infer, images))

    assert [result.bytes_up for result in got] == list(range(60))
    assert served.connections <= 6


def test_a_call_outlives_a_restart(daemon: ScriptedDaemon, served: ServedDaemon, result: Result) -> None:
    stopped, answer = threading.Event(), daemon.script

    def script(asked: DaemonRequest) -> DaemonReply:
        if len(daemon.requests) == 1:
            threading.Thread(target=restart).start()
            reached(stopped)
            raise ConnectionBroke("")
        return answer(asked)

    def restart() -> None:
        served.stop()
        stopped.set()
        time.sleep(0.2)  # which the client spends with tries that find nobody
        served.start()

    daemon.script = script
    with Client(served.path) as client:
        assert client.infer(np.zeros((2, 2, 3), np.uint8)).plan == result.plan
