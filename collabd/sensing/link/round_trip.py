"""The round trip that the kernel measures on a TCP connection: Linux's TCP_INFO."""

from __future__ import annotations

import socket
import struct
from collections import deque

from collabd.sensing.reading import NotMeasured

# struct tcp_info of linux/tcp.h has only ever grown at its end, and the kernel returns as much of it as it knows.
_MOST_BYTES = 256
_RTT_AT = 68
_MIN_RTT_AT = 148
# A ping without a body takes the round trip and the time of both programs. If the rest beside the round trip exceeds
# both this bound and the round trip, something on the way answers in place of the companion.
_PROGRAMS_S = 5e-3
_PINGS = 3
# The value of the minimum before there was a sample.
_NEVER = 0xFFFFFFFF


def round_trip_s(connection: socket.socket | None) -> float | NotMeasured:
    """Seconds of the round trip without queues: the least that the connection saw of late, else the smoothed one.

    Queues on the way lengthen the smoothed round trip. Our own bytes may be what waits there, and they are counted
    elsewhere. `connection`: None if it is closed.
    """
    if connection is None:
        return NotMeasured("tcp: there is no connection")
    try:
        return parse_info(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MOST_BYTES))
    except (OSError, AttributeError) as error:
        return NotMeasured(f"tcp: {error}")


class RoundTrip:
    """The whole round trip: the kernel's, unless a proxy on the way answers for the companion, as in mobile networks.

    Then the kernel knows only the way to the proxy, and pings tell the rest. They also serve where the kernel says
    nothing.
    """

    def __init__(self) -> None:
        self._beyond_s: deque[float] = deque(maxlen=_PINGS)

    def pinged(self, seconds: float, kernel_s: float | NotMeasured) -> None:
        """Take in the seconds of an exchange without bodies."""
        self._beyond_s.append(seconds - (0.0 if isinstance(kernel_s, NotMeasured) else kernel_s))

    def of(self, kernel_s: float | NotMeasured) -> float | NotMeasured:
        """Seconds of the whole round trip of a connection for which the kernel says `kernel_s`."""
        if isinstance(kernel_s, NotMeasured):
            return min(self._beyond_s) if self._beyond_s else kernel_s
        beyond_s = min(self._beyond_s, default=0.0)
        return kernel_s + beyond_s if beyond_s > max(_PROGRAMS_S, kernel_s) else kernel_s

    @property
    def needs_pings(self) -> bool:
        """Whether only pings know the whole of it."""
        return min(self._beyond_s, default=0.0) > _PROGRAMS_S


def parse_info(info: bytes) -> float | NotMeasured:
    """The round trip in a struct tcp_info, which may end anywhere."""
    for place in (_MIN_RTT_AT, _RTT_AT):
        if len(info) >= place + 4:
            microseconds: int = struct.unpack_from("=I", info, place)[0]
            if 0 < microseconds < _NEVER:
                return microseconds / 1e6
    return NotMeasured("tcp: the kernel gives no round trip")
