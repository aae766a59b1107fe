"""How a companion is asked, whatever carries the question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from collabd.sensing.reading import NotMeasured

# What a reply may have beside the tensors that were asked for: its JSON, or an error.
SLACK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class CompanionReply:
    """What came back over HTTP, and what the exchange says of the link. `receive_s` None: the companion did not say."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    receive_s: float | None
    round_trip_s: float | NotMeasured


class CompanionExchange(Protocol):
    """How a companion is asked, and how its connections are left behind."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        most_bytes: int = SLACK_BYTES,
    ) -> CompanionReply:
        """Ask once; the reply may have `most_bytes`. Raises `CompanionFailure`."""

    def leave(self) -> None:
        """Make the exchanges to come on fresh connections."""
