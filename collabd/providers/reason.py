"""The reasons that runtimes give for a failure, which may be pages long."""

from __future__ import annotations

from collab_sdk.text import plain

_BEGIN, _END = 120, 200


def short(reason: str) -> str:
    """In one line, without its middle if it is long: what failed stands first, and the cause last."""
    line = plain(" ".join(reason.split()))
    return line if len(line) <= _BEGIN + _END else f"{line[:_BEGIN].rstrip()} … {line[-_END:].lstrip()}"
