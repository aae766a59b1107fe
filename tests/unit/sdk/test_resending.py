"""Which requests are sent again, when, and for how long; on a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from collab_sdk._resending import Resender
from collab_sdk.errors import CollabError, DaemonUnavailable, DeadlineExceeded, NotReady, Overloaded, RequestTooLarge
from collab_sdk.transport import ConnectionBroke, DaemonReply, DaemonRequest, QueueFull
from collab_sdk.wire import WAITED_MS, decode_error
from tests.served import refusal
from tests.unit.sdk.conftest import HandClock, ScriptedDaemon

OK = DaemonReply(200, b"ok")
BROKE = ConnectionBroke("collabd closed the connection during the call")
GONE = DaemonUnavailable("it is not running")

Send = Callable[..., bytes]


@pytest.fixture
def send(daemon: ScriptedDaemon, clock: HandClock) -> Send:
    def sent(timeout_s: float = 10, *, resend: bool = True, goes_on: bool = False) -> bytes:
        deadline = clock.now + timeout_s
        request = DaemonRequest("POST", "/x")
        reply, waited_s = Resender(daemon, clock).send(request, deadline=deadline, resend=resend, goes_on=goes_on)
        assert waited_s == pytest.approx(sum(clock.slept))
        return reply.body

    return sent


def one_after_another(daemon: ScriptedDaemon, *happens: DaemonReply | CollabError) -> None:
    """What happens to each request; the last ever again."""
    turns: Iterator[DaemonReply | CollabError] = iter(happens)

    def script(_: DaemonRequest) -> DaemonReply:
        turn = next(turns, happens[-1])
        if isinstance(turn, CollabError):
            raise turn
        return turn

    daemon.script = script


def test_what_is_answered_is_sent_once(daemon: ScriptedDaemon, clock: HandClock, send: Send) -> None:
    one_after_another(daemon, OK)

    assert send() == b"ok"
    assert (len(daemon.requests), clock.slept) == (1, [])


def test_a_call_that_broke_off_is_sent_again(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, BROKE, BROKE, OK)

    assert send() == b"ok"
    assert len(daemon.requests) == 3


def test_a_call_that_kills_the_daemon_is_not_sent_for_ever(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, BROKE)

    with pytest.raises(DaemonUnavailable, match="closed the connection during the call"):
        send()
    assert len(daemon.requests) == 3


def test_a_change_that_broke_off_is_not_sent_again(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, BROKE)

    with pytest.raises(DaemonUnavailable, match="closed the connection"):
        send(resend=False)
    assert len(daemon.requests) == 1


def test_a_call_outlives_a_restart_and_the_loading_after_it(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, BROKE, *[GONE] * 8, refusal(NotReady("still loading")), OK)

    assert send() == b"ok"


def test_a_daemon_that_does_not_come_back_is_unavailable(daemon: ScriptedDaemon, clock: HandClock, send: Send) -> None:
    one_after_another(daemon, BROKE, GONE)

    with pytest.raises(DaemonUnavailable, match="it is not running"):
        send(timeout_s=60)
    assert 59 < sum(clock.slept) <= 60


def test_a_daemon_that_was_never_there_is_unavailable_at_once(
    daemon: ScriptedDaemon, clock: HandClock, send: Send
) -> None:
    one_after_another(daemon, GONE)

    with pytest.raises(DaemonUnavailable, match="it is not running"):
        send()
    assert (len(daemon.requests), clock.slept) == (1, [])


def test_what_goes_on_waits_for_a_daemon_that_is_gone(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, *[GONE] * 5, OK)

    assert send(goes_on=True) == b"ok"


def test_not_ready_is_told_at_once_when_nothing_broke(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, refusal(NotReady("still loading")))

    assert isinstance(decode_error(503, send()), NotReady)
    assert len(daemon.requests) == 1


@pytest.mark.parametrize("error", [Overloaded("full"), NotReady("stopping")])
def test_who_is_told_when_to_come_back_does(
    daemon: ScriptedDaemon, clock: HandClock, send: Send, error: CollabError
) -> None:
    one_after_another(daemon, refusal(error, retry_after="7"), refusal(error, retry_after="0"), OK)

    # Not having been taken, even what must not be sent twice can be.
    assert send(resend=False) == b"ok"
    assert clock.slept == [7, 0.05]


@pytest.mark.parametrize("retry_after", ["3600", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "", "\u0663"])
def test_who_has_no_time_to_come_back_is_told_at_once(daemon: ScriptedDaemon, send: Send, retry_after: str) -> None:
    one_after_another(daemon, refusal(Overloaded("full"), retry_after=retry_after))

    assert isinstance(decode_error(503, send()), Overloaded)
    assert len(daemon.requests) == 1


def test_nobody_is_left_alone_for_an_hour(daemon: ScriptedDaemon, clock: HandClock, send: Send) -> None:
    one_after_another(daemon, refusal(Overloaded("full"), retry_after="3600"), OK)

    assert send(timeout_s=61) == b"ok"
    assert clock.slept == [60]


def test_other_refusals_are_final_whatever_they_say(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, refusal(RequestTooLarge("too much"), retry_after="0"))

    assert isinstance(decode_error(413, send()), RequestTooLarge)
    assert len(daemon.requests) == 1


def test_who_was_told_to_come_back_waits_for_a_daemon_that_is_gone(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, refusal(NotReady("stopping"), retry_after="0"), *[GONE] * 5, OK)

    assert send() == b"ok"


def test_a_full_queue_is_waited_for(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, *[QueueFull("full")] * 5, OK)

    assert send(resend=False) == b"ok"


def test_a_queue_that_stays_full_is_a_deadline_exceeded(daemon: ScriptedDaemon, clock: HandClock, send: Send) -> None:
    one_after_another(daemon, QueueFull("full"))

    with pytest.raises(DeadlineExceeded, match="timeout_s"):
        send(timeout_s=5)
    assert sum(clock.slept) == pytest.approx(5)


def test_no_time_left_is_a_deadline_exceeded(daemon: ScriptedDaemon, send: Send) -> None:
    with pytest.raises(DeadlineExceeded):
        send(timeout_s=0)
    assert daemon.requests == []


def test_the_daemon_is_told_how_long_its_caller_has_waited(daemon: ScriptedDaemon, send: Send) -> None:
    one_after_another(daemon, refusal(Overloaded("full"), retry_after="2"), BROKE, OK)

    send()

    told = [request.message.headers.get(WAITED_MS) for request in daemon.requests]
    assert told == [None, "2000.000", "2050.000"]
