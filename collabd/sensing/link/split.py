"""How the time of an exchange divides into the way up and the way down.

The companion says how long a request took to come in, from its headers to its end. The headers come with the first
packet, half a round trip after they were sent. So the companion's figure is the time of all bytes behind that packet,
and the time of all bytes follows in proportion. A request of a few packets says nothing in this way. Then only the sum
of both ways is known, and it is divided in the ratio that was expected.
"""

from __future__ import annotations

from collabd.sensing.link.estimate import LinkReading, Transfer
from collabd.sensing.reading import NotMeasured

# The bytes of a body that come in one packet with the headers.
FIRST_BYTES = 1100
TELLING_BYTES = 2 * FIRST_BYTES
# The way down takes at least this share, whatever the clocks of two machines say.
_LEAST_SHARE = 0.05


def split(
    link_s: float,
    *,
    body_bytes: float,
    header_bytes: float = 0.0,
    down_bytes: float,
    receive_s: float | None,
    round_trip_s: float | NotMeasured,
    known: LinkReading,
) -> Transfer:
    """The transfer of an exchange that took `link_s` beside the companion's work. `receive_s` None: it did not say.

    `header_bytes`: what of the headers is to count among the bytes up.
    """
    up_bytes = body_bytes + header_bytes
    half_s = (known.rtt_s if isinstance(round_trip_s, NotMeasured) else min(round_trip_s, link_s)) / 2
    timed = receive_s is not None and body_bytes >= TELLING_BYTES
    if receive_s is not None and timed:
        up_s = half_s + receive_s * up_bytes / (body_bytes - FIRST_BYTES)
    else:
        there_s = half_s + up_bytes * known.up_s_per_byte
        back_s = max(known.rtt_s - half_s, half_s) + down_bytes * known.down_s_per_byte
        up_s = link_s * there_s / (there_s + back_s)
    up_s = min(up_s, (1 - _LEAST_SHARE) * link_s)
    return Transfer(up_bytes=up_bytes, up_s=up_s, down_bytes=down_bytes, down_s=link_s - up_s, timed=timed)
