"""The link to a companion, learned from the exchanges of calls, and from probes."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import inf

from collabd.sensing.link.pace import PaceFilter

# Taken before the first transfer: an average WLAN. The first sample outweighs it.
_FIRST_RTT_S = 0.02
FIRST_S_PER_BYTE = 8 / 10e6
# A smaller reply says nothing about the rate.
_TELLING_BYTES = 2000.0
# By how much the seconds spent on bytes may be off: because of clock and scheduler, and by a share of the round trip,
# unless the companion timed how the bytes came in.
TIMER_UNSURE_S = 3e-4
_UNSURE_SHARE = 0.05
# By which share of itself the overhead moves at most with each exchange; it is what round trip and bytes leave over.
_OVERHEAD_STEP = 0.25
_LEAST_OVERHEAD_S = 5e-4


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One exchange. The seconds up and down include half the round trip each, and none of the companion's work.

    `timed`: the companion timed the way up, so that an error of the round trip is no error of it.
    """

    up_bytes: float
    up_s: float
    down_bytes: float
    down_s: float
    timed: bool = False


@dataclass(frozen=True, kw_only=True)
class LinkReading:
    """An exchange of no bytes takes `rtt_s`; each byte adds `up_s_per_byte` or `down_s_per_byte`.

    `spread`: the relative deviation of the time that bytes take. `age_s` None: nothing was measured yet.
    """

    rtt_s: float
    up_s_per_byte: float
    down_s_per_byte: float
    spread: float
    age_s: float | None
    samples: int


class LinkEstimate:
    """The latest round trip, and a filter for the pace of each direction. The clock is passed in, in seconds.

    Down is taken to be as fast as up, until a reply of some size has come.
    """

    def __init__(self, memory: float) -> None:
        """`memory`: the weight that the spread so far keeps when the next exchange comes."""
        self._rtt_s = _FIRST_RTT_S
        # What HTTP and both programs add to the round trip of the kernels.
        self._overhead_s = _LEAST_OVERHEAD_S
        self._up = PaceFilter(FIRST_S_PER_BYTE, memory)
        self._down = PaceFilter(FIRST_S_PER_BYTE, memory)
        self._learned_at: float | None = None

    def learn(self, transfer: Transfer, now: float) -> None:
        """Take in one exchange that ended now. One whose figures cannot be durations is ignored."""
        if not all(0 <= figure < inf for figure in astuple(transfer)):
            return
        unsure_s, half_s = unsure_of(self._rtt_s), self._rtt_s / 2
        up_unsure_s = TIMER_UNSURE_S if transfer.timed else unsure_s
        self._up.learn(transfer.up_bytes, transfer.up_s - half_s, unsure_s=up_unsure_s, now=now)
        down_s = transfer.down_s - half_s
        if transfer.down_bytes >= _TELLING_BYTES:
            self._down.learn(transfer.down_bytes, down_s - self._overhead_s, unsure_s=unsure_s, now=now)
        else:
            self._note_overhead(down_s - transfer.down_bytes * self._up.at(now).s_per_byte)
        self._learned_at = now

    def learn_late(self, *, up_bytes: float, seconds: float, now: float) -> None:
        """Take in an exchange that was given up after so long. It says something only if it is overdue."""
        moved_s = seconds - self._rtt_s - self._overhead_s
        if moved_s > up_bytes * self._up.at(now).s_per_byte:
            self._up.learn(up_bytes, moved_s, unsure_s=unsure_of(self._rtt_s), now=now)
            self._learned_at = now

    def learn_rtt(self, rtt_s: float) -> None:
        """Take in the round trip of the kernel, which smooths it already."""
        if 0 <= rtt_s < inf:
            self._rtt_s = rtt_s

    def read(self, now: float) -> LinkReading:
        """What an exchange would find now: what the last ones found, and after a silence what is usual."""
        up = self._up.at(now)
        down = self._down.at(now) if self._down.samples else up
        return LinkReading(
            rtt_s=self._rtt_s + self._overhead_s,
            up_s_per_byte=up.s_per_byte,
            down_s_per_byte=down.s_per_byte,
            spread=up.spread,
            age_s=None if self._learned_at is None else now - self._learned_at,
            samples=self._up.samples,
        )

    def _note_overhead(self, seconds: float) -> None:
        """Move a step towards `seconds`, since one reply that waited for a burst says little."""
        step_s = _OVERHEAD_STEP * self._overhead_s
        change_s = min(max(seconds - self._overhead_s, -step_s), step_s)
        self._overhead_s = max(self._overhead_s + change_s, _LEAST_OVERHEAD_S)


def unsure_of(rtt_s: float) -> float:
    """By how many seconds the time that bytes took may be off, if only the whole exchange was timed."""
    return TIMER_UNSURE_S + _UNSURE_SHARE * rtt_s
