"""The link to a companion, learned from what is sent anyway, and when that has to be helped by a probe."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.sensing.transfer import Transfer

# Before the first transfer: a middling WLAN. The first sample outweighs it.
_FIRST_RTT_S = 0.02
FIRST_S_PER_BYTE = 8 / 10e6


@dataclass(frozen=True)
class LinkReading:
    """Seconds at zero bytes, seconds a byte (there and back), relative spread, and age (None: never measured)."""

    offset_s: float
    s_per_byte: float
    spread: float
    age_s: float | None
    samples: int


class LinkEstimate:
    """Transfer seconds against bytes. The clock is passed in, in seconds."""

    def __init__(self, memory: float) -> None:
        self._transfer = Transfer(offset_s=_FIRST_RTT_S, s_per_byte=FIRST_S_PER_BYTE, memory=memory)
        self._learned_at: float | None = None

    def learn(self, *, moved_bytes: int, seconds: float, now: float) -> None:
        """One exchange: bytes there and back, and its seconds less those that the companion worked."""
        self._transfer.learn(moved_bytes, seconds, now)
        self._learned_at = now

    def learn_late(self, *, moved_bytes: int, seconds: float, now: float) -> None:
        """One exchange that was given up: it would have taken longer than these seconds."""
        self._transfer.learn_at_least(moved_bytes, seconds, now)
        self._learned_at = now

    def read(self, now: float) -> LinkReading:
        """What an exchange would find now: the last ones, and the longer ago they are, the more what is usual."""
        found = self._transfer.estimate(now)
        age = None if self._learned_at is None else now - self._learned_at
        return LinkReading(found.offset_s, found.s_per_byte, found.spread, age, self._transfer.samples)


def next_probe_s(reading: LinkReading, *, probe_bytes: int, stale_s: float, share: float) -> float:
    """Seconds from now until a probe of `probe_bytes` is due: when the estimate is stale, and never so often that
    probes take more than `share` of the link.

    16 kB on 0.5 Mbit/s take 0.26 s: at a share of 1 % not more than one in 26 s, however stale the estimate.
    """
    if reading.age_s is None:
        return 0.0
    spacing_s = max(stale_s, probe_bytes * reading.s_per_byte / share)
    return max(spacing_s - reading.age_s, 0.0)
