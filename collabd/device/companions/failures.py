"""What goes wrong with a companion, and what its error replies mean."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from aiohttp import hdrs

from collab_sdk import wire
from collab_sdk.errors import (
    CollabError,
    InvalidRequest,
    NotReady,
    Overloaded,
    Unauthorised,
    UnknownModel,
    UnknownPackage,
)
from collab_sdk.text import plain

_PAIR_AGAIN = (
    "on the companion: sudo collabctl pair new DEVICE --replace; on this device: sudo collabctl pair add FILE --replace"
)


class FailureReason(StrEnum):
    """What went wrong with a companion."""

    DEAD = "dead"
    UNREACHABLE = "unreachable"
    LATE = "late"
    ABANDONED = "abandoned"
    BUSY = "busy"
    CORRUPT = "corrupt"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    # The answer holds NaN or infinity, and what the caller sent may be why.
    NOT_FINITE = "not-finite"
    UNKNOWN_PACKAGE = "unknown-package"
    OTHER_PACKAGE = "other-package"
    FAULT = "fault"


# It did not begin to work.
_UNTOUCHED = {FailureReason.DEAD, FailureReason.BUSY, FailureReason.REFUSED, FailureReason.UNKNOWN_PACKAGE}


class CompanionFailure(Exception):
    """The companion gave no usable answer. The message is one plain line.

    `retry_after_s`: how long the companion asks to be left alone, in seconds; 0 if it does not ask.
    """

    def __init__(self, reason: FailureReason, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(plain(message))
        self.reason = reason
        self.retry_after_s = retry_after_s

    @property
    def may_have_worked(self) -> bool:
        """Whether the companion may have done the work all the same."""
        return self.reason not in _UNTOUCHED


def refusal(status: int, body: bytes, headers: Mapping[str, str]) -> CompanionFailure:
    """The failure that a companion's error reply stands for."""
    error: CollabError = wire.decode_error(status, body)
    match error:
        case Unauthorised():
            return CompanionFailure(
                FailureReason.REFUSED, f"the companion refused the key of this device: {error} ({_PAIR_AGAIN})"
            )
        case UnknownPackage() | UnknownModel():
            reason = FailureReason.UNKNOWN_PACKAGE
        case Overloaded() | NotReady():
            reason = FailureReason.BUSY
        case InvalidRequest():
            reason = FailureReason.REFUSED
        case _:
            reason = FailureReason.NONSENSE
    return CompanionFailure(reason, f"the companion answered: {error}", _asked_s(error) or _retry_after_s(headers))


def refusal_on_the_way(name: str, status: int, headers: Mapping[str, str]) -> CompanionFailure:
    """The failure that an error reply stands for which is not the companion's, but that of a balancer before it."""
    said = f"a server on the way to {name} answered with status {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return CompanionFailure(FailureReason.BUSY, said, _retry_after_s(headers))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return CompanionFailure(FailureReason.UNREACHABLE, said)
    return CompanionFailure(FailureReason.REFUSED, said)


def _asked_s(error: CollabError) -> float:
    """The seconds that the error's details ask for, at most 60, in fractions of one; 0 if they say none."""
    asked_s = error.details.get("retry_after_s")
    return min(float(asked_s), 60.0) if isinstance(asked_s, int | float) and asked_s > 0 else 0.0


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """The seconds in Retry-After, at most 60; 0 if the header is missing or is a date."""
    text = headers.get(hdrs.RETRY_AFTER, "")
    return min(float(text[:6]), 60.0) if text.isascii() and text.isdigit() else 0.0
