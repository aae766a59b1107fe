"""The sockets of a relay and the links between them, under the clock of the event loop."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import cast

from collabd.simulation.damage import Damage
from collabd.simulation.link import ShapedLink
from collabd.simulation.traces import Trace

# The size of a modem's buffer. When so many bytes are queued, a sender that is faster than the link must wait.
_QUEUE_BYTES = 256 * 1024
# The payload of an Ethernet frame. Connections take turns on the link, one packet of this size each.
_PACKET_BYTES = 1460
_READ_BYTES = 16 * 1024
# An event loop wakes up to 1 ms late. A timer that is 0.5 ms early is right on average.
_EARLY_S = 0.0005
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction:
    """Runs one link under the clock of the event loop. `damage` changes the bytes that pass."""

    def __init__(self, rate: Trace, delay_s: float | None, damage: Damage) -> None:
        self._loop = asyncio.get_running_loop()
        self.damage = damage
        self._timer: asyncio.TimerHandle | None = None
        self.link: ShapedLink[Callable[[], None]] = ShapedLink(rate, delay_s, self._loop.time())
        self.sources: set[End] = set()

    @property
    def full(self) -> bool:
        """Whether the queue is full, so that the sockets that feed it must wait."""
        return self.link.queued_bytes >= _QUEUE_BYTES

    def send(self, nbytes: int, deliver: Callable[[], None]) -> None:
        """Call `deliver` when `nbytes` have passed the link."""
        self.link.send(self._loop.time(), nbytes, deliver)
        if self._timer is None:
            self.schedule()

    def schedule(self) -> None:
        """Set the timer for the next event of the link. Call this after every change to the link."""
        self.close()
        at = self.link.next_event()
        if at < math.inf:
            self._timer = self._loop.call_at(at - _EARLY_S, self._advance)

    def close(self) -> None:
        """Deliver nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _advance(self) -> None:
        was_full = self.full
        for deliver in self.link.arrivals(self._loop.time() + _EARLY_S):
            deliver()
        self.schedule()
        if was_full and not self.full:
            for source in self.sources:
                source.read_or_wait()


class End(asyncio.BufferedProtocol):
    """One of the two sockets of a connection. Bytes that it reads pass a direction, and the peer socket writes them."""

    def __init__(self, out: Direction, on_connection: Callable[[End], None]) -> None:
        self._out = out
        self._on_connection = on_connection
        self._buffer = bytearray(_READ_BYTES)
        self._congested = self._got_eof = self._sent_eof = self._silent = False
        # Bytes read here since the peer last read any. On the answering side these are the bytes of one reply.
        self._in_a_row = 0
        self._transport: asyncio.Transport
        self._peer: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected. It reads nothing before `join`."""
        self._transport = cast("asyncio.Transport", transport)
        self._out.sources.add(self)
        # The call comes later because uvloop starts to read after this method returns, even if reading was paused here.
        asyncio.get_running_loop().call_soon(self.read_or_wait)
        self._on_connection(self)

    def join(self, peer: End) -> None:
        """From now on pass bytes to the peer."""
        self._peer = peer
        self.read_or_wait()

    def read_or_wait(self) -> None:
        """Read only while there is room for the bytes. Nothing else limits the memory of the relay."""
        # A socket that resumes reading after the end of its stream would report that end again.
        if self._got_eof or self._transport.is_closing():
            return
        if self._peer is None or self._peer._congested or self._out.full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def silence(self) -> None:
        """Lose all bytes in both directions from now on. The processes at both ends notice nothing."""
        self._silent = True

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        """The buffer that the loop reads into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Send the bytes that were read over the link."""
        if self._silent:
            return
        peer, damage = cast("End", self._peer), self._out.damage
        passing = damage.passing(self._in_a_row, nbytes)
        self._in_a_row += nbytes
        peer._in_a_row = 0
        for start in range(0, passing, _PACKET_BYTES):
            packet = damage.flip(bytes(self._buffer[start : min(start + _PACKET_BYTES, passing)]))
            self._out.send(len(packet), partial(peer.write, packet))
        if passing < nbytes:
            self._out.send(0, peer.write_eof)
            self.reset()
        elif self._out.full:
            self.read_or_wait()

    def eof_received(self) -> bool:
        """Send the end of the stream over the link, behind its last bytes.

        Returning true keeps this socket open for the bytes of the other direction.
        """
        self._got_eof = True
        if self._silent:
            return False
        self._out.send(0, cast("End", self._peer).write_eof)
        return not self._sent_eof

    def connection_lost(self, exc: Exception | None) -> None:
        """If the connection broke, send the reset over the link as well."""
        self._out.sources.discard(self)
        if exc is not None and self._peer is not None and not self._silent:
            self._out.send(0, self._peer.reset)

    def pause_writing(self) -> None:
        """The process behind this socket reads too slowly."""
        self._set_congested(True)

    def resume_writing(self) -> None:
        """The process behind this socket has caught up."""
        self._set_congested(False)

    def _set_congested(self, congested: bool) -> None:
        self._congested = congested
        if self._peer is not None:
            self._peer.read_or_wait()

    def write(self, data: bytes) -> None:
        """Write bytes that have passed the link."""
        if not (self._silent or self._transport.is_closing()):
            self._transport.write(data)

    def write_eof(self) -> None:
        """End the stream here, after its end has passed the link."""
        self._sent_eof = True
        if self._silent or self._transport.is_closing():
            return
        if self._got_eof:
            self._transport.close()
        else:
            self._transport.write_eof()

    def reset(self) -> None:
        """Close at once. The process behind this socket sees a reset and not an end of the stream."""
        if not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
