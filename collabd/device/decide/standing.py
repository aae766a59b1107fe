"""Choices that stand: what was chosen for one call holds for the next, until something that it depends on changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.chooser import Weighed
from collabd.device.decide.seen import SeenPicture
from collabd.device.job.options import CallOptions
from collabd.device.job.tensors import CallInput
from collabd.device.models.model import DeviceModel
from collabd.planning import Circumstances
from collabd.planning.choose import Decision

# What is sensed and learned moves by little within this time, as long as calls take what was predicted.
_STANDS_S = 0.5
# A choice is made anew after this time even if nothing has changed: what it depends on is compared with a tolerance.
_MOST_S = 3.0
# Two calls are alike if their sizes, and what is left of their latency budget, differ by no more than this share.
_ALIKE = 1 / 32
# The number of choices that stand at the same time. An application has a few.
_MOST = 64


@dataclass(slots=True, eq=False, kw_only=True)
class Asked:
    """A call as far as the choice of its plan depends on it.

    `pixels`: of its image. `file_bytes`: None if the caller sent pixels. `waited_s`: how long it has waited to be
    planned; `left_s`: what is left of its latency budget, None if it has none. `lane_wait_s`: how long it waits for
    other calls. `known`: what is known of the model. `events`: how many there were of each companion. `seen`: what its
    picture has shown already; None: nobody has looked.
    """

    model: DeviceModel
    options: CallOptions
    pixels: int
    file_bytes: int | None
    waited_s: float
    left_s: float | None
    lane_wait_s: float
    known: object
    events: tuple[int, ...]
    seen: SeenPicture | None = None

    @classmethod
    def of(
        cls,
        model: DeviceModel,
        image: CallInput,
        options: CallOptions,
        *,
        waited_s: float,
        lane_wait_s: Callable[[float | None], float],
        known: object,
        events: tuple[int, ...],
        seen: SeenPicture | None = None,
    ) -> Asked:
        """A call that has waited `waited_s` seconds to be planned. `lane_wait_s` takes what is left of its budget."""
        latency_ms = options.budget.latency_ms
        left_s = None if latency_ms is None else max(latency_ms / 1e3 - waited_s, 0.0)
        return cls(
            model=model,
            options=options,
            pixels=image.pixels,
            file_bytes=image.file_bytes,
            waited_s=waited_s,
            left_s=left_s,
            lane_wait_s=lane_wait_s(left_s),
            known=known,
            events=events,
            seen=seen,
        )

    @property
    def kind(self) -> Hashable:
        """Equal for calls that may be alike. `options` are the same object for calls with the same parameters."""
        return id(self.model), id(self.options), self.file_bytes is None, self.seen and (self.seen.kind,)

    def is_like(self, other: Asked) -> bool:
        """Whether what was chosen for the `other` call, of the same kind, may serve this call."""
        return (
            not self.lane_wait_s
            and not other.lane_wait_s
            and self.known is other.known
            and _alike(self.pixels, other.pixels)
            and _alike(self.file_bytes or 0, other.file_bytes or 0)
            and _alike(self.left_s or 0.0, other.left_s or 0.0)
        )


@dataclass(eq=False, kw_only=True)
class StandingChoice:
    """What was chosen for the call `asked`, under these `circumstances`. `make`: makes the plan of a decision.

    `is_final`: no better plan is still being searched for.
    """

    asked: Asked
    kind: Hashable
    weighed: Weighed
    circumstances: Circumstances
    make: Callable[[Decision], CallPlan]
    is_final: bool = True
    _events: tuple[int, ...] = ()
    _until: float = 0.0
    _at_most_until: float = 0.0
    _made: dict[Decision, CallPlan] = field(default_factory=dict)

    def stands(self, now: float, events: tuple[int, ...]) -> bool:
        """Whether nothing that it depends on can have changed by much."""
        return now <= self._until and events == self._events

    def may_stand_on(self, now: float) -> bool:
        """Whether it may go on to stand if nothing has changed."""
        return self.is_final and now <= self._at_most_until

    def stand(self, now: float) -> None:
        """It was made just now."""
        self._at_most_until = now + _MOST_S
        self.stand_on(now, self.asked.events)

    def stand_on(self, now: float, events: tuple[int, ...]) -> None:
        """Nothing has changed so far, whatever the events were."""
        self._events = events
        self._until = min(now + _STANDS_S, self._at_most_until)

    def planned(self, decision: Decision) -> CallPlan:
        """The plan for this decision. It is made once."""
        made = self._made.get(decision)
        if made is None:
            made = self._made[decision] = self.make(decision)
        return made


class StandingChoices:
    """The choices that stand now. `new` is set when there is one more."""

    def __init__(self) -> None:
        self.new = asyncio.Event()
        # A choice keeps its model and options alive, so that their identity names nothing else meanwhile.
        self._by_kind: dict[Hashable, StandingChoice] = {}

    def of(self, asked: Asked) -> StandingChoice | None:
        """The last choice for a call like this. None: there is none."""
        standing = self._by_kind.get(asked.kind)
        return None if standing is None or not asked.is_like(standing.asked) else standing

    def keep(self, choice: StandingChoice, *, now: float) -> None:
        """Let a choice stand from now on."""
        if len(self._by_kind) >= _MOST:
            self._by_kind.clear()
        choice.stand(now)
        self._by_kind[choice.asked.kind] = choice
        self.new.set()

    def __iter__(self) -> Iterator[StandingChoice]:
        return iter(list(self._by_kind.values()))

    def clear(self) -> None:
        """Let none stand."""
        self._by_kind.clear()


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * max(one, other)
