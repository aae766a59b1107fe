"""The link to a companion, learned from what is sent anyway, and when that has to be helped by a probe."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import inf

from collabd.sensing.link.pace import PaceFilter

# Before the first transfer: a middling WLAN. The first sample outweighs it.
_FIRST_RTT_S = 0.02
FIRST_S_PER_BYTE = 8 / 10e6
# A smaller reply says nothing of the rate.
_TELLING_BYTES = 2000.0
# How well the part of a way's seconds that is not the bytes' is known: the clock, the scheduler, and the round trip.
_UNSURE_S = 3e-4
_UNSURE_SHARE = 0.05
# A step of the median of what each exchange takes beside round trip and bytes.
_OVERHEAD_STEP = 0.25
_LEAST_OVERHEAD_S = 5e-4
# What is known of a link is worth a probe after so long, however slow it was.
_LONGEST_S = 300.0
# Probes end where nobody has called for so long: 4 kB each 2 s, all day long, would be 170 MB.
_IDLE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One exchange. Each way's seconds include half the round trip; the companion's own work is in neither."""

    up_bytes: float
    up_s: float
    down_bytes: float
    down_s: float


@dataclass(frozen=True, kw_only=True)
class LinkReading:
    """Seconds at zero bytes there and back, seconds a byte each way, the relative deviation of the time that bytes
    take, and the age in seconds (None: never measured)."""

    rtt_s: float
    up_s_per_byte: float
    down_s_per_byte: float
    spread: float
    age_s: float | None
    samples: int


class LinkEstimate:
    """The round trip as it was last told, and a filter for the pace of each way. The clock is passed in, in seconds.

    The way down is taken to be as fast as the way up until a reply of some size has come down it.
    """

    def __init__(self, memory: float) -> None:
        """`memory` is the weight that the spread so far keeps when the next exchange comes."""
        self._rtt_s = _FIRST_RTT_S
        # What HTTP and both programs add to the round trip of the kernels.
        self._overhead_s = _LEAST_OVERHEAD_S
        self._up = PaceFilter(FIRST_S_PER_BYTE, memory)
        self._down = PaceFilter(FIRST_S_PER_BYTE, memory)
        self._learned_at: float | None = None

    def learn(self, transfer: Transfer, now: float) -> None:
        """Take in one exchange that ended now; what is no duration is left out."""
        if not all(0 <= figure < inf for figure in astuple(transfer)):
            return
        unsure_s, half_s = self._unsure_s(), self._rtt_s / 2
        self._up.learn(transfer.up_bytes, transfer.up_s - half_s, unsure_s=unsure_s, now=now)
        down_s = transfer.down_s - half_s
        if transfer.down_bytes >= _TELLING_BYTES:
            self._down.learn(transfer.down_bytes, down_s - self._overhead_s, unsure_s=unsure_s, now=now)
        else:
            self._note_overhead(down_s - transfer.down_bytes * self._up.at(now).s_per_byte)
        self._learned_at = now

    def learn_late(self, *, up_bytes: float, seconds: float, now: float) -> None:
        """One exchange that was given up after so long: it says something only where it should have ended before."""
        moved_s = seconds - self._rtt_s - self._overhead_s
        if moved_s > up_bytes * self._up.at(now).s_per_byte:
            self._up.learn(up_bytes, moved_s, unsure_s=self._unsure_s(), now=now)
            self._learned_at = now

    def learn_rtt(self, rtt_s: float) -> None:
        """The round trip as the kernel has it, which smooths it already."""
        if 0 <= rtt_s < inf:
            self._rtt_s = rtt_s

    def read(self, now: float) -> LinkReading:
        """What an exchange would find now: what the last ones did, and the longer ago they are, what is usual."""
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

    def _unsure_s(self) -> float:
        return _UNSURE_S + _UNSURE_SHARE * self._rtt_s

    def _note_overhead(self, seconds: float) -> None:
        """A step towards it: one reply that waited for a burst says little."""
        step_s = _OVERHEAD_STEP * self._overhead_s
        change_s = min(max(seconds - self._overhead_s, -step_s), step_s)
        self._overhead_s = max(self._overhead_s + change_s, _LEAST_OVERHEAD_S)


def next_probe_s(
    reading: LinkReading, *, probe_bytes: int, stale_s: float, share: float, idle_s: float
) -> float | None:
    """Seconds from now until a probe of `probe_bytes` is due: when the estimate is stale, and never so often that
    probes take more than `share` of the link. None: the last call was `idle_s` seconds ago, so nobody wants to know.

    16 kB on 0.5 Mbit/s take 0.26 s: at a share of 1 % not more than one in 26 s, however stale the estimate. Only of a
    link below 40 kbit/s they take more, one in five minutes: else nobody would see that it is fast again.
    """
    if idle_s >= _IDLE_S:
        return None
    if reading.age_s is None:
        return 0.0
    spacing_s = max(stale_s, min(probe_bytes * reading.up_s_per_byte / share, _LONGEST_S))
    return max(spacing_s - reading.age_s, 0.0)
