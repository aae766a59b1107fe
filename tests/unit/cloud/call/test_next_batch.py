"""What runs next, by who waits, who runs, and who was served."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np

from collab_sdk.vocabulary import Precision
from collabd.cloud.call.next_batch import QueuedWork, next_batch
from collabd.cloud.call.places import QueuePlace
from collabd.cloud.call.work import Done, Work

POLITE = [f"polite{number}" for number in range(7)]


def queued(device: str | None, rows: int = 1, group: str | None = "g") -> QueuedWork:
    feeds = {"x": np.zeros(rows, np.float32)}
    work = Work(key="k", feeds=feeds, outputs=("y",), precision=Precision.FP32, group=group, rows=rows)
    done: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
    return QueuedWork(work=work, place=QueuePlace(device, lambda _: None), done=done, since=0.0)


def chosen(
    waiting: Sequence[QueuedWork],
    *,
    running: dict[str | None, int] | None = None,
    served: dict[str | None, int] | None = None,
    most: int = 8,
    lanes: int = 2,
) -> list[str | None]:
    """The devices of the next batch."""
    batch = next_batch(waiting, running=running or {}, served=served or {}, most_rows=lambda _: most, lanes=lanes)
    return [each.device for each in batch]


async def test_one_device_alone_has_each_lane_full() -> None:
    assert chosen([queued("greedy") for _ in range(40)]) == ["greedy"] * 8


async def test_a_lane_leaves_half_for_the_other() -> None:
    assert len(chosen([queued("a") for _ in range(6)])) == 3
    # What the other runs counts, so this one takes all.
    assert len(chosen([queued("a") for _ in range(3)], running={"a": 3})) == 3


async def test_a_batch_is_filled_in_turns_and_not_by_arrival() -> None:
    waiting = [queued("greedy") for _ in range(40)] + [queued(device) for device in POLITE]
    assert Counter(chosen(waiting, lanes=1)) == Counter(["greedy", *POLITE])
    # Over both lanes each device has a row as well.
    first = chosen(waiting)
    assert max(Counter(first).values()) == 1
    rest = [each for each in waiting if each.device not in first or each.device == "greedy"]
    second = chosen(rest, running=Counter(first), served=dict.fromkeys(first, 1))
    assert {*first, *second} == {"greedy", *POLITE}


async def test_who_has_a_row_running_comes_after_those_who_have_none() -> None:
    waiting = [queued("greedy"), queued("polite")]
    assert chosen(waiting, running={"greedy": 1}, served={"polite": 9}, most=1) == ["polite"]
    # Of equals, the one that was served longest ago.
    assert chosen(waiting, served={"greedy": 1, "polite": 2}, most=1) == ["greedy"]


async def test_only_what_is_alike_runs_together_and_what_does_not_fit_is_passed_over() -> None:
    waiting = [queued("a", 2), queued("b", group="other"), queued("c", 2), queued("d", group=None), queued("e")]
    assert chosen(waiting, most=3, lanes=1) == ["a", "e"]
    assert chosen([queued("a", group=None), queued("b", group=None)], lanes=1) == ["a"]


async def test_one_that_is_larger_than_a_batch_runs_alone() -> None:
    assert chosen([queued("a", 20), queued("b")], lanes=1) == ["a"]
