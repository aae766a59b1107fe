"""What the client knows of a call, and the daemon does not, added to a result that nobody has read yet.

The time that a caller waits outside the daemon is part of the latency and counts against the cap.
"""

from __future__ import annotations

from typing import Any

from collab_sdk._newest import Frame
from collab_sdk.result import Result, said_in
from collab_sdk.vocabulary import Cap

_LATENCY, _CLIENT = "measured.latency_ms", "measured.client_ms"


def add_resending(result: Result, seconds: float) -> None:
    """Add the seconds that the client sent the call again before the daemon took it."""
    said = said_in(result)
    # If the daemon was told of these seconds, its latency includes them.
    counted = seconds * 1e3 <= (said.get(_LATENCY) or 0.0)
    said[_CLIENT] = seconds * 1e3 if counted else 0.0
    _explain(said, f"the call waited {_in_words(seconds)} until collabd accepted it")


def add_waiting(result: Result, seconds: float) -> float:
    """Make it the result of a call whose caller waited so long in total; the milliseconds of it outside the daemon."""
    said = said_in(result)
    latency_ms = said.get(_LATENCY) or 0.0
    more_ms = max(seconds * 1e3 - latency_ms, 0.0)
    said[_LATENCY] = latency_ms = latency_ms + more_ms
    said[_CLIENT] = client_ms = (said.get(_CLIENT) or 0.0) + more_ms
    cap_ms = result.budget.latency_ms
    unmet = said.get("unmet") or ""
    if cap_ms is not None and latency_ms > cap_ms and Cap.LATENCY not in unmet.split(","):
        said["budget_met"], said["unmet"] = False, f"{Cap.LATENCY},{unmet}"
        _explain(said, f"{_in_words(client_ms / 1e3)} of the latency passed outside collabd")
    return client_ms


def add_frame(result: Result, frame: Frame) -> None:
    """Make it the result of this frame of a stream."""
    vars(result).update(dropped=frame.dropped, image=frame.image)


def _explain(said: dict[str, Any], more: str) -> None:
    said["why"] = f"{said['why']}; {more}" if said["why"] else more


def _in_words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
