"""When a probe of the link has to be sent, because no call shows how fast the link is; and how large it has to be."""

from __future__ import annotations

from typing import NamedTuple

from collabd.sensing.link.estimate import TIMER_UNSURE_S, LinkReading, unsure_of
from collabd.sensing.link.split import FIRST_BYTES, TELLING_BYTES

# What HTTP adds to a probe on its way up.
HEADER_BYTES = 250
# The bytes of a probe take so many times as long as the timing may be off. So a link that has become four times as fast
# is seen to be that by one probe, and what it really is by the next, which is larger.
_TELLING_TIMES = 4.0
# The probe after the last call comes after this share of the time since then: 15 probes in the first minute.
IDLE_SHARE = 0.25
# On a link with a spread above this a probe says less, since the next moment may differ: so it is probed less often, at
# most by this factor.
_STEADY = 0.15
_UNSTEADY_TIMES = 5.0
# Probes end when nobody has called for so long.
IDLE_S = 60.0
# After so long a link is probed again, however slow it was.
_LONGEST_S = 300.0


class Probe(NamedTuple):
    """A probe of `nbytes` bytes of padding that is due in `due_s` seconds."""

    due_s: float
    nbytes: int


def next_probe(reading: LinkReading, *, most_bytes: int, stale_s: float, share: float, idle_s: float) -> Probe | None:
    """The next probe. None: the last call was so long ago (`idle_s`) that no probe is needed.

    A probe is due when the estimate is stale: older than `stale_s`, and not young beside the time since the last call.
    But probes take no more than `share` of the link: 2.4 kB on 5 Mbit/s take 3.9 ms, so that at a share of 1 % one is
    sent in 0.39 s at most. On 16 kbit/s that is 300 bytes in 15 s. Below 0.8 kbit/s they take more than the share,
    since one is sent every five minutes in any case: else nobody would see that the link is fast again.
    """
    if idle_s >= IDLE_S:
        return None
    nbytes = _telling_bytes(reading, most_bytes)
    if reading.age_s is None:
        return Probe(0.0, nbytes)
    takes_s = (nbytes + HEADER_BYTES) * reading.up_s_per_byte
    unsteady = min(max(reading.spread / _STEADY, 1.0), _UNSTEADY_TIMES)
    spacing_s = max(unsteady * stale_s, IDLE_SHARE * idle_s, min(takes_s / share, _LONGEST_S))
    return Probe(max(spacing_s - reading.age_s, 0.0), nbytes)


def _telling_bytes(reading: LinkReading, most_bytes: int) -> int:
    """The least padding that shows how fast the link is.

    Either the companion times the bytes behind the first packet, or on a slow link a few bytes take longer than the
    round trip is unsure.
    """
    behind = FIRST_BYTES + _TELLING_TIMES * TIMER_UNSURE_S / reading.up_s_per_byte
    alone = _TELLING_TIMES * unsure_of(reading.rtt_s) / reading.up_s_per_byte - HEADER_BYTES
    return round(min(max(behind, TELLING_BYTES), max(alone, 0.0), most_bytes))
