"""The schedule of `make chaos`: the same for the same seed, complete, and never twice at one thing."""

from __future__ import annotations

from itertools import combinations, islice

from tests.chaos.schedule import HOLDERS, KINDS, schedule


def test_a_seed_stands_for_one_schedule() -> None:
    assert list(islice(schedule(7, KINDS), 100)) == list(islice(schedule(7, KINDS), 100))
    assert list(islice(schedule(7, KINDS), 100)) != list(islice(schedule(8, KINDS), 100))


def test_each_kind_comes_before_any_comes_again() -> None:
    faults = schedule(1, KINDS)
    for _ in range(5):
        assert {fault.kind for fault in islice(faults, len(KINDS))} == set(KINDS)


def test_kinds_that_this_machine_cannot_have_never_come() -> None:
    kinds = set(KINDS) - {"disks full", "clocks stepped"}
    assert {fault.kind for fault in islice(schedule(1, kinds), 200)} == kinds


def test_faults_overlap_but_never_at_one_thing() -> None:
    faults = list(islice(schedule(3, KINDS), 200))
    overlapping = [
        (one.kind, other.kind)
        for one, other in combinations(faults, 2)
        if other.at_s < one.at_s + one.lasts_s and one.at_s < other.at_s + other.lasts_s
    ]
    assert overlapping
    assert all(HOLDERS[one] != HOLDERS[other] for one, other in overlapping)


def test_faults_begin_in_their_order() -> None:
    starts = [fault.at_s for fault in islice(schedule(5, KINDS), 200)]
    assert starts == sorted(starts)
