"""Another companion, or the device: who finishes a call whose companion has failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.vocabulary import Objective
from collabd.planning import Caps
from collabd.planning.takeover import Finish, keeps, takes_over

HERE = Finish(seconds=0.100, energy_j=0.5)
THERE = Finish(seconds=0.030, energy_j=0.1, cost=0.01)
SLOW_S = 0.120


@pytest.mark.parametrize(
    ("there_s", "left_s", "asked"),
    [
        (0.030, None, True),
        (0.110, None, False),  # the device is faster
        (0.030, 0.200, True),  # it answers before the device would have to start, at 80 ms
        (0.090, 0.200, False),  # the device would have to start before
        (0.030, 0.125, False),  # nearly spent: the device must start in 5 ms
        (0.030, 0.100, False),  # the device may be in time if it starts now
        (0.030, 0.050, True),  # only the companion can be in time
        (0.090, 0.010, True),  # neither can; the companion is less late
        (0.110, 0.010, False),
    ],
)
def test_what_is_left_of_the_deadline(there_s: float, left_s: float | None, *, asked: bool) -> None:
    there = replace(THERE, seconds=there_s)
    assert takes_over(there, HERE, Caps(latency_s=left_s), slow_s=SLOW_S) is asked


@pytest.mark.parametrize(
    ("caps", "asked"),
    [
        (Caps(cost=0.01), True),
        (Caps(cost=0.009), False),
        (Caps(energy_j=0.1), True),
        (Caps(energy_j=0.09), False),
        (Caps(objective=Objective.COST), False),  # to finish here costs nothing
        (Caps(objective=Objective.ENERGY), True),
        (Caps(objective=Objective.THROUGHPUT), True),
    ],
)
def test_the_rest_of_the_budget(caps: Caps, *, asked: bool) -> None:
    assert takes_over(THERE, HERE, caps, slow_s=SLOW_S) is asked


def test_who_saves_energy_may_take_longer() -> None:
    slow = Finish(seconds=1.0, energy_j=0.1)
    assert takes_over(slow, HERE, Caps(objective=Objective.ENERGY), slow_s=SLOW_S)
    assert not takes_over(replace(slow, energy_j=0.6), HERE, Caps(objective=Objective.ENERGY), slow_s=SLOW_S)
    free = Finish(seconds=0.03, energy_j=0.1)
    assert takes_over(free, HERE, Caps(objective=Objective.COST), slow_s=SLOW_S)


SECONDS = st.floats(0, 10)


@given(there_s=SECONDS, here_s=SECONDS, left_s=SECONDS, cost=st.floats(0, 1), most=st.floats(0, 1))
def test_it_never_loses_time_that_the_device_has_not(
    there_s: float, here_s: float, left_s: float, cost: float, most: float
) -> None:
    there, here = Finish(seconds=there_s, energy_j=0.0, cost=cost), Finish(seconds=here_s, energy_j=0.0)
    left = Caps(latency_s=left_s, cost=most)
    if takes_over(there, here, left, slow_s=1.2 * here_s):
        assert keeps(there, left)
        assert there_s < here_s
        # The device keeps its deadline if the second companion fails as well at the moment it should have answered.
        assert there_s + 1.2 * here_s <= left_s + 1e-9 or left_s < here_s
