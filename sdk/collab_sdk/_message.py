"""The part of the protocol without tensors: bodies, JSON objects and errors.

It is apart from `collab_sdk.wire`, so that a request for the daemon's status does not import numpy. Other code imports
these names from `collab_sdk.wire`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json.scanner import make_scanner
from typing import Any, Protocol, TypeVar, cast

from collab_sdk._parameters import WireError
from collab_sdk.errors import CollabError, from_code

MAX_JSON_BYTES = 16 * 2**20
# Request header: the milliseconds that the caller has waited since the first try, which the daemon did not take.
WAITED_MS = "Collab-Waited-Ms"
# Request header: the milliseconds of the caller's latency that passed outside the daemon in the last call of this kind.
CALLER_MS = "Collab-Caller-Ms"
# Request header, to a companion: the most milliseconds for which the call shall wait there for others. If it would wait
# longer, the companion refuses it at once, and the device goes on without it.
PATIENCE_MS = "Collab-Patience-Ms"

Value = TypeVar("Value")


@dataclass
class Message:
    """An HTTP body as chunks, so that big tensors need no copy, and the headers that go with it."""

    chunks: list[bytes | memoryview] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Length of the body, bytes."""
        return sum(map(len, self.chunks))

    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.chunks)


class Headers(Protocol):
    """The HTTP headers of any library that ignores the case of names."""

    def get(self, name: str, /) -> str | None:
        """The header's value; None: there is none."""


def encode_error(error: CollabError) -> bytes:
    """The body of the reply that reports this error; the reply's HTTP status is ``error.http_status``."""
    details = {key: value if _is_json(value) else str(value) for key, value in error.details.items()}
    return json.dumps({"error": str(error), "code": error.code, "details": details}).encode()


def decode_error(status: int, body: bytes) -> CollabError:
    """The error that a reply with an error status reports, even if something other than a daemon wrote its body."""
    try:
        head = decode_json(body)
        message = member(head, "error", f"HTTP status {status}")
        return from_code(member(head, "code", ""), message, member(head, "details", {}))
    except WireError:
        return from_code("", f"HTTP status {status}: {body[:200].decode(errors='replace')}")


def decode_json(text: bytes | memoryview) -> dict[str, Any]:
    """The JSON object in a body without tensors. WireError: no JSON object, or more than `MAX_JSON_BYTES`."""
    if len(text) > MAX_JSON_BYTES:
        raise WireError(f"the JSON has {len(text)} bytes, more than {MAX_JSON_BYTES}: send tensors in binary")
    try:
        decoded = str(text, "utf-8")
        try:
            head, end = _SCAN(decoded, 0)
        except StopIteration:
            end = -1
        # Spaces around the object, which the daemons do not write, are for the general decoder, and so is nonsense.
        if end != len(decoded):
            head = _JSON.decode(decoded)
    except (ValueError, RecursionError) as error:
        raise WireError(f"this is not JSON: {error}") from error
    if not isinstance(head, dict):
        raise WireError("this is not a JSON object")
    return head


def member(holder: Mapping[str, Any], key: str, default: Value) -> Value:
    """An optional member; null counts as absent, as some clients write it. WireError: not of the default's type."""
    value = holder.get(key)
    if value is None:
        return default
    if not isinstance(value, type(default)):
        raise WireError(f"{key}: expected {type(default).__name__}, got {type(value).__name__}")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)
_SCAN: Callable[[str, int], tuple[Any, int]] = make_scanner(cast("Any", _JSON))


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
