"""The time that a caller waits outside the daemon: it is part of the latency and counts against the cap."""

from __future__ import annotations

from collab_sdk.result import Result, changed, times_of, with_times
from collab_sdk.vocabulary import Cap


def resent(result: Result, seconds: float) -> Result:
    """The result with the seconds that the client sent the call again before the daemon took it."""
    if not seconds:
        return result
    latency_ms, _ = times_of(result)
    # If the daemon was told of these seconds, its latency includes them.
    counted = seconds * 1e3 <= latency_ms
    why = _joined(result.why, f"the call waited {_said(seconds)} until collabd accepted it")
    return changed(with_times(result, latency_ms, seconds * 1e3 if counted else 0.0), why=why)


def waited(result: Result, seconds: float) -> Result:
    """The result of a call whose caller waited this many seconds in total."""
    latency_ms, client_ms = times_of(result)
    more_ms = max(seconds * 1e3 - latency_ms, 0.0)
    latency_ms, client_ms = latency_ms + more_ms, client_ms + more_ms
    result = with_times(result, latency_ms, client_ms)
    cap_ms = result.budget.latency_ms
    if cap_ms is None or latency_ms <= cap_ms or Cap.LATENCY in result.unmet:
        return result
    why = _joined(result.why, f"{_said(client_ms / 1e3)} of the latency passed outside collabd")
    return changed(result, budget_met=False, unmet=(Cap.LATENCY, *result.unmet), why=why)


def _joined(why: str, more: str) -> str:
    return f"{why}; {more}" if why else more


def _said(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
