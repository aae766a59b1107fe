"""Connections that break, daemons that restart, and sockets with nobody behind."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collab_sdk._transport import Transport
from collab_sdk.errors import (
    DaemonUnavailable,
    DeadlineExceeded,
    NotReady,
    Overloaded,
    PermissionRefused,
    ProtocolError,
    RequestTooLarge,
)
from collab_sdk.wire import Message, decode_error, encode_error

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Answer, Asked, LittleDaemon


@pytest.fixture
def transport(daemon: LittleDaemon) -> Iterator[Transport]:
    daemon.script = lambda _: daemon.json({"turn": len(daemon.asked)})
    with closing(Transport(daemon.path)) as transport:
        yield transport


def ask(transport: Transport, timeout_s: float = 10, *, resend: bool = True, body: bytes = b"") -> bytes:
    deadline = time.monotonic() + timeout_s
    return transport.request("POST", "/x", deadline=deadline, message=Message([body], {}), resend=resend).body


@contextmanager
def peer(path: Path, says: bytes, times: int = 1) -> Iterator[None]:
    """Whatever connects hears this, unheard, and no more."""

    def serve() -> None:
        for _ in range(times):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(says)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_calls_one_after_another_share_a_connection(transport: Transport, daemon: LittleDaemon) -> None:
    assert [ask(transport) for _ in range(3)] == [b'{"turn": 1}', b'{"turn": 2}', b'{"turn": 3}']
    assert daemon.connections == 1


def test_a_connection_that_broke_while_idle_is_replaced(transport: Transport, daemon: LittleDaemon) -> None:
    ask(transport)
    daemon.hang_up()

    # Not even a call that must not be sent twice minds: the old connection never carried it.
    assert ask(transport, resend=False) == b'{"turn": 2}'
    assert daemon.connections == 2


def test_a_connection_that_was_reset_while_idle_is_replaced(tmp_path: Path) -> None:
    # Closing with the request unread resets a Unix socket.
    path, says = tmp_path / "sock", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with peer(path, says, times=2), closing(Transport(path)) as transport:
        assert ask(transport, resend=False) == b"ok"
        time.sleep(0.5)  # idle: the peer's reset comes after its answer, and must not meet the next call
        assert ask(transport, resend=False) == b"ok"


def test_a_call_that_broke_off_is_sent_again(transport: Transport, daemon: LittleDaemon) -> None:
    daemon.script = lambda _: daemon.break_off() if len(daemon.asked) < 3 else daemon.raw(b"ok")

    assert ask(transport) == b"ok"
    assert len(daemon.asked) == 3


def test_a_call_that_kills_the_daemon_is_not_sent_for_ever(transport: Transport, daemon: LittleDaemon) -> None:
    daemon.script = lambda _: daemon.break_off()

    with pytest.raises(DaemonUnavailable, match="closed the connection during the call"):
        ask(transport)
    assert len(daemon.asked) == 3


def test_a_change_that_broke_off_is_not_sent_again(transport: Transport, daemon: LittleDaemon) -> None:
    daemon.script = lambda _: daemon.break_off()

    with pytest.raises(DaemonUnavailable, match="closed the connection"):
        ask(transport, resend=False)
    assert len(daemon.asked) == 1


def test_a_call_outlives_a_restart_and_the_loading_after_it(transport: Transport, daemon: LittleDaemon) -> None:
    stopped = threading.Event()

    def script(asked: Asked) -> Answer:
        if len(daemon.asked) == 1:
            threading.Thread(target=restart).start()
            stopped.wait()
            daemon.break_off()
        if len(daemon.asked) == 2:
            raise NotReady("still loading")
        return daemon.raw(b"ok")

    def restart() -> None:
        daemon.stop()
        stopped.set()
        time.sleep(0.2)
        daemon.start()

    daemon.script = script

    assert ask(transport) == b"ok"
    assert len(daemon.asked) == 3


def test_a_daemon_that_does_not_come_back_is_unavailable(transport: Transport, daemon: LittleDaemon) -> None:
    stopped = threading.Event()

    def script(asked: Asked) -> Answer:
        threading.Thread(target=stop).start()
        stopped.wait()
        daemon.break_off()

    def stop() -> None:
        daemon.stop()
        stopped.set()

    daemon.script = script
    try:
        with pytest.raises(DaemonUnavailable, match="it is not running"):
            ask(transport, timeout_s=1)
    finally:
        daemon.start()


def test_not_ready_is_told_at_once_when_nothing_broke(transport: Transport, daemon: LittleDaemon) -> None:
    def script(asked: Asked) -> Answer:
        raise NotReady("still loading")

    daemon.script = script

    assert isinstance(decode_error(503, ask(transport)), NotReady)
    assert len(daemon.asked) == 1


@pytest.mark.parametrize("refusal", [Overloaded("full"), NotReady("stopping")])
def test_who_is_told_when_to_come_back_does(
    transport: Transport, daemon: LittleDaemon, refusal: Overloaded | NotReady
) -> None:
    def script(asked: Asked) -> Answer:
        if len(daemon.asked) < 3:
            raise refusal
        return daemon.raw(b"ok")

    daemon.script, daemon.beside_errors = script, {"Retry-After": "0"}

    # Not having been taken, even what must not be sent twice can be.
    assert ask(transport, resend=False) == b"ok"
    assert len(daemon.asked) == 3


@pytest.mark.parametrize("retry_after", ["3600", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "", "\u0663"])
def test_who_has_no_time_to_come_back_is_told_at_once(
    transport: Transport, daemon: LittleDaemon, retry_after: str
) -> None:
    def script(asked: Asked) -> Answer:
        raise Overloaded("full")

    daemon.script, daemon.beside_errors = script, {"Retry-After": retry_after.encode().decode("latin-1")}

    assert isinstance(decode_error(503, ask(transport)), Overloaded)
    assert len(daemon.asked) == 1


def test_other_refusals_are_final_whatever_they_say(transport: Transport, daemon: LittleDaemon) -> None:
    def script(asked: Asked) -> Answer:
        raise RequestTooLarge("too much")

    daemon.script, daemon.beside_errors = script, {"Retry-After": "0"}

    assert isinstance(decode_error(413, ask(transport)), RequestTooLarge)


def test_who_was_told_to_come_back_waits_for_a_daemon_that_is_gone(transport: Transport, daemon: LittleDaemon) -> None:
    restarted: list[threading.Thread] = []

    def script(asked: Asked) -> Answer:
        if len(daemon.asked) == 1:
            restarted.append(threading.Thread(target=restart))
            restarted[0].start()
            raise NotReady("stopping")
        return daemon.raw(b"ok")

    def restart() -> None:
        daemon.stop()
        time.sleep(0.3)
        daemon.start()

    daemon.script, daemon.beside_errors = script, {"Retry-After": "0"}

    assert ask(transport) == b"ok"
    restarted[0].join()


def test_what_goes_on_waits_for_a_daemon_that_is_gone(transport: Transport, daemon: LittleDaemon) -> None:
    daemon.stop()
    starting = threading.Timer(0.3, daemon.start)
    starting.start()
    reply = transport.request("GET", "/x", deadline=time.monotonic() + 10, goes_on=True)
    assert reply.body == b'{"turn": 1}'
    starting.join()


def test_an_answer_that_does_not_come_is_a_deadline_exceeded(transport: Transport, daemon: LittleDaemon) -> None:
    release = threading.Event()
    daemon.script = lambda _: daemon.raw(str(release.wait(10)).encode())
    with pytest.raises(DeadlineExceeded, match="timeout_s"):
        ask(transport, timeout_s=0.1)
    release.set()

    # The late answer must not become the next call's.
    daemon.script = lambda _: daemon.raw(b"next")
    assert ask(transport) == b"next"


def test_no_time_left_is_a_deadline_exceeded(transport: Transport, daemon: LittleDaemon) -> None:
    with pytest.raises(DeadlineExceeded):
        ask(transport, timeout_s=-1)
    assert daemon.asked == []


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, closing(Transport(tmp_path / "sock")) as transport:
        listener.bind(str(tmp_path / "sock"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(tmp_path / "sock"))
            with pytest.raises(DeadlineExceeded):
                ask(transport, timeout_s=0.2)


def test_nobody_behind_the_socket_says_how_to_start_the_daemon(tmp_path: Path) -> None:
    refusing = tmp_path / "refusing"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(refusing))
    for path in (tmp_path / "missing", refusing):
        with pytest.raises(DaemonUnavailable, match=f"cannot reach collabd at {path}: it is not running.*systemctl"):
            ask(Transport(path))
    with pytest.raises(DaemonUnavailable, match=r"cannot reach collabd at .*too long"):
        ask(Transport(tmp_path / ("x" * 200)))


def test_a_socket_that_may_not_be_opened_says_which_group_to_join(daemon: LittleDaemon) -> None:
    daemon.path.chmod(0)
    user = os.geteuid()
    daemon.path.parent.chmod(0o700)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionRefused, match="join the group collab"):
            ask(Transport(daemon.path))
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 hello\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n"])
def test_a_peer_that_speaks_no_http_is_a_protocol_error(tmp_path: Path, says: bytes) -> None:
    with peer(tmp_path / "sock", says), pytest.raises(ProtocolError, match="the program that answers is not collabd"):
        ask(Transport(tmp_path / "sock"))


def test_half_an_answer_is_no_answer(tmp_path: Path) -> None:
    says = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    with peer(tmp_path / "sock", says), pytest.raises(DaemonUnavailable, match="closed the connection"):
        ask(Transport(tmp_path / "sock"), resend=False)


def test_a_refusal_before_the_body_was_read_is_heard(tmp_path: Path) -> None:
    body = encode_error(RequestTooLarge("too much"))
    says = b"HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with peer(tmp_path / "sock", says):
        reply = ask(Transport(tmp_path / "sock"), body=bytes(8 * 2**20))
    assert isinstance(decode_error(413, reply), RequestTooLarge)


def test_a_fork_does_not_share_its_parents_connections(transport: Transport, daemon: LittleDaemon) -> None:
    ask(transport)
    parents = transport._idle[0]
    transport._owner = -1

    ask(transport)

    assert daemon.connections == 2
    parents.close()


def test_a_closed_transport_keeps_no_connection(transport: Transport, daemon: LittleDaemon) -> None:
    ask(transport)
    transport.close()
    assert ask(transport) == b'{"turn": 2}'
    assert transport._idle == []
