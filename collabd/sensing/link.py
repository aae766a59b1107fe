"""The link to a companion, learned from what is sent anyway, and when that has to be helped by a probe."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.sensing.line import Line

# Before the first transfer: a middling WLAN. The first sample outweighs it.
_FIRST_RTT_S = 0.02
FIRST_S_PER_BYTE = 8 / 10e6
_TYPICAL_BYTES = 10_000.0


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
        self._line = Line(offset=_FIRST_RTT_S, slope=FIRST_S_PER_BYTE, scale=_TYPICAL_BYTES, memory=memory)
        self._learned_at: float | None = None

    def learn(self, *, moved_bytes: int, seconds: float, now: float) -> None:
        """One exchange: bytes there and back, and its seconds less those that the companion worked."""
        self._line.learn(float(moved_bytes), seconds)
        self._learned_at = now

    def learn_late(self, *, moved_bytes: int, seconds: float, now: float) -> None:
        """One exchange that was given up after so long: it says something only where it should have ended before."""
        if seconds > self._line.at(float(moved_bytes)):
            self.learn(moved_bytes=moved_bytes, seconds=seconds, now=now)

    def read(self, now: float) -> LinkReading:
        """The present estimate."""
        age = None if self._learned_at is None else now - self._learned_at
        return LinkReading(self._line.offset, self._line.slope, self._line.spread, age, self._line.samples)


def next_probe_s(reading: LinkReading, *, probe_bytes: int, stale_s: float, share: float) -> float:
    """Seconds from now until a probe of `probe_bytes` is due: when the estimate is stale, and never so often that
    probes take more than `share` of the link.

    16 kB on 0.5 Mbit/s take 0.26 s: at a share of 1 % not more than one in 26 s, however stale the estimate.
    """
    if reading.age_s is None:
        return 0.0
    spacing_s = max(stale_s, probe_bytes * reading.s_per_byte / share)
    return max(spacing_s - reading.age_s, 0.0)
