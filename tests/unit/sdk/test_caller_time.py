"""What a call took outside the daemon is told with the next one that is like it."""

from __future__ import annotations

import numpy as np

from collab_sdk._caller_time import CallerTime
from collab_sdk.client import Client
from collab_sdk.errors import Overloaded
from collab_sdk.result import Timings
from collab_sdk.transport import DaemonReply, DaemonRequest
from collab_sdk.wire import CALLER_MS, caller_s
from tests.served import refusal
from tests.unit.sdk.conftest import HandClock, ScriptedDaemon, a_result, answer_with, is_inference

FRAME = np.zeros((20, 20, 3), np.uint8)


def test_only_a_call_of_the_same_kind_and_size_tells() -> None:
    times = CallerTime()
    assert times.of(1000, pixels=True) is None
    times.note(0.6543, 1000, pixels=True)
    assert [times.of(size, pixels=True) for size in (499, 500, 2000, 2001)] == [None, "0.65", "0.65", None]
    assert times.of(1000, pixels=False) is None


def test_a_time_is_told_anew_when_it_has_changed_by_a_tenth() -> None:
    times, told = CallerTime(), []
    for milliseconds in (0.7, 0.76, 0.64, 0.78, 0.72, 0.0, 0.0, 1234.5):
        times.note(milliseconds, 1000, pixels=True)
        told.append(times.of(1000, pixels=True))
    assert told == ["0.7", "0.7", "0.7", "0.78", "0.78", "0", "0", "1.2e+03"]


def test_small_steps_add_up() -> None:
    times = CallerTime()
    for milliseconds in np.arange(1.0, 2.0, 0.05):
        times.note(float(milliseconds), 1000, pixels=True)
        assert abs(float(times.of(1000, pixels=True) or 0) / milliseconds - 1) < 0.11


def test_the_daemon_hears_of_the_call_before(daemon: ScriptedDaemon, clock: HandClock) -> None:
    answer, outside_s = answer_with(a_result(measured=Timings(latency_ms=3.0))), 0.005

    def script(request: DaemonRequest) -> DaemonReply:
        clock.now += 0.003 + outside_s if is_inference(request) else 0.25
        if len(daemon.requests) == 4:
            return refusal(Overloaded("full"), retry_after="1")
        return answer(request)

    daemon.script = script
    client = Client(timeout_s=10, transport=daemon, clock=clock)
    for image in (FRAME, FRAME, FRAME, b"a JPEG", FRAME):
        client.infer(image)
    told = [caller_s(asked.message.headers) for asked in daemon.requests if is_inference(asked)]
    # The first call fetched the labels, and the third was sent again: they are not like the next.
    assert told == [None, None, outside_s, outside_s, None, None]
    assert [*daemon.requests[3].message.headers][-1] == CALLER_MS
