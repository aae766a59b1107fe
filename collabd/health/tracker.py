"""Which conditions stand, by what is seen of them from time to time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from collab_sdk.reports import ConditionReport
from collab_sdk.vocabulary import Severity
from collabd.clock import MONOTONIC, Clock
from collabd.health.conditions import CONDITIONS, Code, Condition, Sighting

_WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.NOTICE)


class Change(NamedTuple):
    """A condition that stands for itself from now on (`raised`), or that is over."""

    sighting: Sighting
    condition: Condition
    raised: bool


@dataclass(slots=True, kw_only=True)
class _Sighted:
    """`since`: it has been seen since then, with no pause before it was raised. `seen_at`: when it was seen last."""

    sighting: Sighting
    since: float
    seen_at: float
    raised: bool = False
    behind: Code | None = None
    # Whether somebody was told of it, and is to be told of its end.
    told: bool = False


class HealthTracker:
    """Raises a condition when it has lasted, and clears it when it has been gone for a while.

    One that another explains is told to nobody by itself. When the other is over, it has to last anew.
    """

    def __init__(self, clock: Clock = MONOTONIC, conditions: Mapping[Code, Condition] = CONDITIONS) -> None:
        self._clock = clock
        self._conditions = conditions
        self._states: dict[tuple[Code, str], _Sighted] = {}

    def look(self, seen: Iterable[Sighting]) -> list[Change]:
        """Take in all that is seen now. Returns what has changed by that."""
        now = self._clock()
        for sighting in seen:
            key = sighting.code, sighting.about
            state = self._states.setdefault(key, _Sighted(sighting=sighting, since=now, seen_at=now))
            state.sighting, state.seen_at = sighting, now
        ended = self._ended(now)
        self._raise(now)
        self._explain(now)
        return ended + self._begun()

    def report(self) -> list[ConditionReport]:
        """All that are raised, the worst first."""
        raised = [state for state in self._states.values() if state.raised]
        raised.sort(key=lambda it: (_WORST_FIRST.index(self._of(it).severity), it.since))
        return [
            ConditionReport(
                code=state.sighting.code.value,
                about=state.sighting.about,
                severity=self._of(state).severity,
                what=state.sighting.what,
                do=self._of(state).do,
                since_s=self._clock() - state.since,
                behind=None if state.behind is None else state.behind.value,
            )
            for state in raised
        ]

    def _ended(self, now: float) -> list[Change]:
        ended = []
        for key, state in list(self._states.items()):
            gone_s = now - state.seen_at
            if gone_s and not (state.raised and gone_s < self._of(state).clear_s):
                del self._states[key]
                if state.told:
                    ended.append(Change(state.sighting, self._of(state), raised=False))
        return ended

    def _raise(self, now: float) -> None:
        for state in self._states.values():
            state.raised = state.raised or now - state.since >= self._of(state).raise_s

    def _explain(self, now: float) -> None:
        for state in self._states.values():
            before, state.behind = state.behind, self._cause(state)
            if before is not None and state.behind is None and not state.told:
                # What the other caused may take a moment to pass.
                state.since, state.raised = now, False

    def _begun(self) -> list[Change]:
        begun = []
        for state in self._states.values():
            if state.raised and state.behind is None and not state.told:
                state.told = True
                begun.append(Change(state.sighting, self._of(state), raised=True))
        return begun

    def _cause(self, state: _Sighted) -> Code | None:
        """The condition that explains this one now; None: none does."""
        mine = state.sighting
        standing = [other.sighting for other in self._states.values() if other.raised]
        for code in self._of(state).behind:
            if any(its.code is code and (not mine.of or its.about in {"", mine.of}) for its in standing):
                return code
        return None

    def _of(self, state: _Sighted) -> Condition:
        return self._conditions[state.sighting.code]
