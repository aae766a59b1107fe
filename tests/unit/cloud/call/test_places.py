"""Places in the queue, and when those come again who found none. The clock is the test's."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from contextlib import ExitStack

import pytest

from collab_sdk.errors import Overloaded
from collabd.cloud.call.places import Places, QueuePlace
from tests.unit.cloud.set_clock import Clock


def middle(least: float, most: float) -> float:
    return (least + most) / 2


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refusal(places: Places, device: str | None) -> dict[str, float]:
    with pytest.raises(Overloaded) as refused:
        places.check_room(device)
    return refused.value.details


def test_a_full_queue_refuses_and_recovers(clock: Clock) -> None:
    places = Places(2, clock=clock, chance=middle)
    with places.held() as first, places.held():
        first.begin()
        with places.held():
            assert (places.waiting, places.taken) == (2, 3)
            assert refusal(places, None) == {"queue": 2, "retry_after_s": 1.0}
        places.check_room(None)
    assert (places.waiting, places.taken) == (0, 0)


def test_no_device_takes_the_whole_queue(clock: Clock) -> None:
    places = Places(4, clock=clock)
    with places.held("a"), places.held("a"), places.held("a"):
        refusal(places, "a")
        with places.held("b"):
            refusal(places, "c")
    with places.held(), places.held(), places.held(), places.held():
        pass


def test_what_runs_is_not_in_the_queue_also_when_its_caller_is_gone(clock: Clock) -> None:
    places = Places(4, clock=clock)
    with places.held("a") as running, ExitStack() as waiting:
        running.begin()
        running.begin()
        for _ in range(3):
            waiting.enter_context(places.held("a"))
        assert places.waiting == 3
        refusal(places, "a")
    assert places.waiting == 0


def test_who_was_refused_finds_a_place_that_those_who_are_in_do_not_take(clock: Clock) -> None:
    places = Places(4, clock=clock, chance=middle)
    places.ran(1.0)
    with ExitStack() as held:
        inside = [held.enter_context(places.held(f"in{number}")) for number in range(4)]
        assert refusal(places, "late")["retry_after_s"] == 4.0
        inside[0].begin()
        # It is free, and the one that was refused comes only when the queue has moved on.
        clock.now = 0.5
        places.check_room("new")
        clock.now = 1.0
        refusal(places, "new")
        places.check_room("late")
        # After it, those wait no longer for it who came meanwhile.
        with places.held("late"):
            assert places.waiting == 4
        clock.now = 60.0
        places.check_room("new")


def test_places_are_kept_for_nobody_who_does_not_come(clock: Clock) -> None:
    places = Places(4, clock=clock, chance=middle)
    places.ran(1.0)
    with ExitStack() as held:
        for number in range(4):
            held.enter_context(places.held(f"in{number}"))
        for number in range(100):
            refusal(places, f"gone{number}")
    # Where three are to come within two seconds, two places are left for others.
    clock.now = 4.0
    with places.held("new"), places.held("new"):
        refusal(places, "other")
    clock.now = 200.0
    with places.held("new"), places.held("new"):
        places.check_room("other")


def test_the_time_to_come_again_is_that_of_the_queue_and_not_the_same_for_all() -> None:
    clock, told = Clock(), set()
    places = Places(8, clock=clock, chance=random.Random(0).uniform)
    places.ran(1.0)
    with ExitStack() as held:
        for number in range(8):
            held.enter_context(places.held(f"in{number}"))
        for number in range(20):
            after_s = refusal(places, f"late{number}")["retry_after_s"]
            assert 0.75 * (8 + number) <= after_s <= min(1.25 * (8 + number), 30)
            told.add(after_s)
    assert len(told) > 10


def test_who_would_wait_for_others_longer_than_it_wants_is_refused_and_may_come_again_soon() -> None:
    places = Places(8, clock=Clock(), chance=middle)
    places.ran(0.02)
    with places.held("a"), places.held("a"), places.held("b"):
        places.check_room("c", 0.06)
        places.check_room("a", 0.02)  # its own do not count
        for device, patience_s, wait_s in (("c", 0.05, 0.06), ("a", 0.01, 0.02), (None, 0.05, 0.06)):
            with pytest.raises(Overloaded) as refused:
                places.check_room(device, patience_s)
            assert refused.value.details["retry_after_s"] == pytest.approx(wait_s)
    places.check_room("c", 0.0)


@pytest.mark.parametrize(("request_s", "devices"), [(5e-3, 128), (20e-3, 128), (5e-3, 400)])
def test_many_devices_that_heed_what_they_are_told_are_all_answered(request_s: float, devices: int) -> None:
    clock = Clock()
    places = Places(64, clock=clock, chance=random.Random(0).uniform)
    answered = simulated(places, clock, request_s=request_s, devices=devices, seconds=8.0)
    assert min(answered[device] for device in range(devices)) >= 1
    # Nothing is lost by it.
    assert answered.total() >= 0.95 * 8.0 / request_s


def simulated(places: Places, clock: Clock, *, request_s: float, devices: int, seconds: float) -> Counter[int]:
    """The answers of each device in so many seconds. They ask at once again, and a companion answers one at a time."""
    answered: Counter[int] = Counter()
    events: list[tuple[float, int, str]] = [(1e-4 * device, device, "asks") for device in range(devices)]
    heapq.heapify(events)
    queue: list[tuple[int, ExitStack, QueuePlace]] = []
    busy = False
    while events and events[0][0] < seconds:
        clock.now, device, what = heapq.heappop(events)
        if what == "done":
            _, held, _ = queue.pop(0)
            held.close()
            places.ran(request_s)
            answered[device] += 1
            busy = False
            heapq.heappush(events, (clock.now + 1e-3, device, "asks"))
        else:
            held = ExitStack()
            try:
                queue.append((device, held, held.enter_context(places.held(str(device)))))
            except Overloaded as error:
                pause_s = math.ceil(error.details["retry_after_s"])
                heapq.heappush(events, (clock.now + pause_s, device, "asks"))
        if queue and not busy:
            # The batcher's turn: who was never served comes first.
            queue.sort(key=lambda each: answered[each[0]])
            queue[0][2].begin()
            busy = True
            heapq.heappush(events, (clock.now + request_s, queue[0][0], "done"))
    return answered
