"""What runs next: which of the waiting work, and what of it together."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from collabd.cloud.call.places import QueuePlace
from collabd.cloud.call.work import Done, Work


@dataclass(frozen=True, eq=False, kw_only=True)
class QueuedWork:
    """Work that waits for a lane, and whom to tell when it is done."""

    work: Work
    place: QueuePlace
    done: asyncio.Future[Done]
    since: float

    @property
    def device(self) -> str | None:
        """Whose work it is."""
        return self.place.device


def next_batch(
    waiting: Sequence[QueuedWork],
    *,
    running: Mapping[str | None, int],
    served: Mapping[str | None, int],
    most_rows: Callable[[Work], int],
    lanes: int,
) -> list[QueuedWork]:
    """Of `waiting`, in the order in which it came, the work that runs next, together.

    Next is the device that has the fewest rows running, of those that have as few the one that was `served` the longest
    ago, and of it the oldest work. So it goes on, row by row, with what may join the first work. So a device that asks
    for much at once does not make the others wait for all of it.

    The batch is no more than a lane's share of what runs and may join, so that no lane takes what others could compute
    at the same time, and no more than `most_rows` of its first work. While other devices wait or run, a device has its
    share of that only.
    """
    rows_of = Counter(running)

    def turn(each: QueuedWork) -> tuple[int, int]:
        return rows_of[each.device], served.get(each.device, 0)

    first = min(waiting, key=turn)
    joining = [each for each in waiting if each is not first and _may_join(each, first)]
    rows = first.work.rows
    rows_of[first.device] += rows
    most = _lane_share(rows_of + _rows(joining), most_rows(first.work), lanes)
    devices = {each.device for each in waiting}.union(device for device, count in running.items() if count)
    most_of_one = math.ceil(most / len(devices))
    batch, own = [first], Counter({first.device: rows})
    while joining and rows < most:
        each = min(joining, key=turn)
        joining.remove(each)
        more = each.work.rows
        if rows + more <= min(most, each.work.most_rows) and own[each.device] + more <= most_of_one:
            batch.append(each)
            rows += more
            own[each.device] += more
            rows_of[each.device] += more
    return batch


def _lane_share(at_hand: Mapping[str | None, int], most: int, lanes: int) -> int:
    """The rows that one of the `lanes` takes, at most `most`, where each device has so many `at_hand`.

    A device counts for no more than its share of what all lanes can take together. Otherwise one with a long queue
    would make each run as long as it may be, and all others wait for that.
    """
    share = math.ceil(most * lanes / len(at_hand))
    return min(most, math.ceil(sum(min(rows, share) for rows in at_hand.values()) / lanes))


def _rows(waiting: Sequence[QueuedWork]) -> Counter[str | None]:
    counted: Counter[str | None] = Counter()
    for each in waiting:
        counted[each.device] += each.work.rows
    return counted


def _may_join(one: QueuedWork, first: QueuedWork) -> bool:
    return one.work.group is not None and one.work.group == first.work.group
