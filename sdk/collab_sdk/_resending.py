"""When a request is sent again: the daemon restarts, is busy, or has a full queue."""

from __future__ import annotations

import itertools
from dataclasses import replace

from collab_sdk._message import WAITED_MS, Message, decode_error
from collab_sdk.clock import WaitingClock
from collab_sdk.errors import DaemonUnavailable, DeadlineExceeded, NotReady, Overloaded
from collab_sdk.transport import OK, TOO_LATE, ConnectionBroke, DaemonReply, DaemonRequest, QueueFull, Transport

# Seconds. A daemon may ask for a longer pause; the client waits no longer than this.
MOST_RETRY_AFTER_S = 60.0
# A request that kills the daemon must not kill it again and again until the deadline.
MOST_INTERRUPTIONS = 3
# Seconds between two tries, the last one ever again: a restart takes from 0.1 s to a few seconds.
_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.4)
_FOR_NOW = (Overloaded, NotReady)


class Resender:
    """Sends requests over a transport until they are answered, or their deadline has passed."""

    def __init__(self, transport: Transport, clock: WaitingClock) -> None:
        self._transport = transport
        self._clock = clock

    def send(
        self,
        request: DaemonRequest,
        *,
        deadline: float,
        resend: bool = True,
        goes_on: bool = False,
        waited_s: float = 0.0,
    ) -> tuple[DaemonReply, float]:
        """The daemon's reply, whatever its status, and the seconds that passed before the try that it answers.

        ``deadline`` is a time on the clock, in seconds. If the connection breaks (the daemon restarts) and ``resend``
        is set, the client sends the request again until the deadline. If the daemon is busy and names a time before
        the deadline, the client sends the request again at that time. If the daemon is gone, the client waits for it
        only if the request ``goes_on`` with what the daemon answered before. Each new try tells the daemon how long
        the caller has waited, ``waited_s`` before this method included, because the call's deadline stays the same.
        Raises the transport's errors and `DeadlineExceeded`.
        """
        interruptions, known, began = 0, goes_on, self._clock.monotonic() - waited_s
        for tries in itertools.count():
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                raise DeadlineExceeded(TOO_LATE)
            pause_s = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
            try:
                asked = _after(waited_s, request) if waited_s else request
                reply = self._transport.send(asked, timeout_s=left_s)
                if reply.status == OK:
                    break
                retry_after_s = _retry_after_s(reply)
                if retry_after_s is not None and self._clock.monotonic() + retry_after_s < deadline:
                    known, pause_s = True, max(pause_s, retry_after_s)
                elif not (interruptions and _still_loading(reply)):
                    break
            except ConnectionBroke:
                interruptions += 1
                if not resend or interruptions == MOST_INTERRUPTIONS:
                    raise
            except QueueFull:
                pass
            except DaemonUnavailable:
                if not (interruptions or known) or self._clock.monotonic() + pause_s > deadline:
                    raise
            self._clock.sleep(min(pause_s, max(deadline - self._clock.monotonic(), 0.0)))
            waited_s = self._clock.monotonic() - began
        return reply, waited_s


def _after(waited_s: float, request: DaemonRequest) -> DaemonRequest:
    """The request with a header that says how many seconds its caller has waited."""
    headers = request.message.headers | {WAITED_MS: f"{waited_s * 1e3:.3f}"}
    return replace(request, message=Message(request.message.chunks, headers))


def _retry_after_s(reply: DaemonReply) -> float | None:
    """Seconds until the next try, if the daemon that refused was too busy; None: it names no time."""
    text = reply.headers.get("Retry-After") or ""
    if not (text.isascii() and text.isdecimal() and isinstance(decode_error(reply.status, reply.body), _FOR_NOW)):
        return None
    return min(float(text), MOST_RETRY_AFTER_S)


def _still_loading(reply: DaemonReply) -> bool:
    return reply.status == NotReady.http_status and isinstance(decode_error(reply.status, reply.body), NotReady)
