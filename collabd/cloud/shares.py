"""How much of what all devices share one of them may take."""

from __future__ import annotations

# What no single device can take.
_RESERVED = 0.25


def most_for(device: str | None, whole: int) -> int:
    """Of `whole`. One without a name came through another server of this machine, like all others: it may have all."""
    return whole - int(_RESERVED * whole) if device else whole
