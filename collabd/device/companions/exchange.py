"""The protocol through which the device asks a companion, independent of the transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from collabd.sensing.reading import NotMeasured

# The parts of a body, in order.
Chunks: TypeAlias = Sequence[bytes | memoryview]
Sent: TypeAlias = Callable[[int], object]

# How many bytes a reply may have in addition to its tensors: the JSON, or an error.
SLACK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class CompanionReply:
    """The companion's reply, and what the exchange says of the link.

    `seconds`: how long the whole exchange took. `receive_s`: how long the companion took to receive the request, in
    seconds; None if it did not say.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    receive_s: float | None
    round_trip_s: float | NotMeasured


class CompanionExchange(Protocol):
    """Asks one companion, and can change to new connections."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: Chunks = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        most_bytes: int = SLACK_BYTES,
        sent: Sent | None = None,
    ) -> CompanionReply:
        """Ask once. The body of the reply may have at most `most_bytes` bytes. Raises `CompanionFailure`.

        `sent` is called with how many bytes of the body have been handed to the network so far: of a large one several
        times, and anew from the start if the request is repeated.
        """

    def leave(self) -> None:
        """Make later exchanges on new connections."""
