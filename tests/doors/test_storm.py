"""Programs call through doors while the companion is killed and started again: no error, and no wrong box."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors.bed import BUDGET, DoorBed, Found, difference, door_bed, storm
from tests.doors.clients import deepstack, doods

LEAST = 0.4
CALLS = 80
KINDS = ("deepstack", "doods")


@pytest.fixture(scope="module")
def bed() -> Iterator[DoorBed]:
    # Not pytest's own folder: a Unix socket's path is short.
    doors = [{"kind": kind, "budget": BUDGET} for kind in KINDS]
    with tempfile.TemporaryDirectory(prefix="doors-") as directory, door_bed(Path(directory), doors) as made:
        yield made


@pytest.mark.alone
@pytest.mark.parametrize("kind", KINDS)
def test_no_call_fails_and_no_box_is_wrong(bed: DoorBed, kind: str) -> None:
    caller = {"deepstack": deepstack, "doods": doods}[kind](bed.addresses[KINDS.index(kind)], least=LEAST)
    run = storm(bed, caller, CALLS, least=LEAST, most=20)
    print(run)
    assert (run.errors, run.wrong) == ([], [])
    assert run.calls == CALLS
    assert run.kills > 0
    assert run.shared > 0


def test_what_is_wrong_is_seen() -> None:
    right = [Found("dog", 0.9, (10, 10, 50, 50)), Found("cat", 0.6, (60, 10, 90, 50)), Found("cup", 0.41, (0, 0, 5, 5))]
    assert difference(right, right) is None
    assert difference(right[:2], right) is None, "one of which it was hardly sure may miss"
    assert difference(right[1:], right) is not None
    assert difference([*right, Found("dog", 0.9, (10, 10, 50, 50))], right) is not None
    assert difference([right[0], Found("dog", 0.6, (60, 10, 90, 50)), right[2]], right) is not None
    assert difference([Found("dog", 0.9, (14, 14, 60, 60)), *right[1:]], right) is not None
