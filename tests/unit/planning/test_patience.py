"""When the device stops waiting."""

from __future__ import annotations

import pytest

from collabd.planning import local_start_s, lost_after_s


@pytest.mark.parametrize(
    ("deadline", "tail", "predicted", "start"),
    [
        (0.080, 0.030, 0.020, 0.050),  # as late as still meets the deadline
        (0.080, 0.200, 0.020, 0.080),  # cannot be met from here: the companion is the only hope
        (0.010, 0.200, 0.500, 0.500),  # nor by the companion: it has its predicted time
        (None, 0.030, 0.200, 0.600),  # three times what was predicted
        (None, 0.030, 0.001, 0.250),  # but not before the floor
    ],
)
def test_local_start(deadline: float | None, tail: float, predicted: float, start: float) -> None:
    got = local_start_s(deadline_s=deadline, local_tail_s=tail, predicted_wait_s=predicted, patience=3.0, floor_s=0.25)
    assert got == pytest.approx(start)


@pytest.mark.parametrize(("predicted", "lost"), [(0.2, 0.6), (0.001, 0.25)])
def test_lost(predicted: float, lost: float) -> None:
    assert lost_after_s(predicted_wait_s=predicted, patience=1.5) == pytest.approx(lost)
