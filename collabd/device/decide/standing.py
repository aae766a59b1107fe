"""Choices that stand: what was chosen for one call holds for the next, until something that it depends on changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.chooser import Weighed
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.planning.choose import Decision

# What is sensed and learned moves by little within this time, as long as calls take what was predicted.
_STANDS_S = 0.5
# Two calls are alike if their sizes, and what is left of their latency budget, differ by no more than this share.
_ALIKE = 1 / 32
# The number of choices that stand at the same time. An application has a few.
_MOST = 64

# What a choice was made from and what can be compared: what is known of the model, and events of the companions.
Seen: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call as far as the choice of its plan depends on it.

    `pixels`: of its image. `file_bytes`: None if the caller sent pixels. `left_ms`: what is left of its latency budget;
    0 if it has none. `lane_wait_s`: how long it waits for other calls.
    """

    model: DeviceModel
    options: CallOptions
    pixels: int
    file_bytes: int | None
    left_ms: float
    lane_wait_s: float

    @classmethod
    def of(
        cls, model: DeviceModel, image: CallImage, options: CallOptions, *, waited_s: float, lane_wait_s: float
    ) -> Asked:
        """A call that has waited `waited_s` seconds to be planned."""
        return cls(
            model=model,
            options=options,
            pixels=image.pixels,
            file_bytes=image.file_bytes,
            left_ms=max((options.budget.latency_ms or 0.0) - waited_s * 1e3, 0.0),
            lane_wait_s=lane_wait_s,
        )

    @property
    def kind(self) -> Hashable:
        """Equal for calls that may be alike. `options` are the same object for calls with the same parameters."""
        return id(self.model), id(self.options), self.file_bytes is None

    def is_like(self, other: Asked) -> bool:
        """Whether what was chosen for the `other` call, of the same kind, may serve this call."""
        return (
            not self.lane_wait_s
            and not other.lane_wait_s
            and _alike(self.pixels, other.pixels)
            and _alike(self.file_bytes or 0, other.file_bytes or 0)
            and _alike(self.left_ms, other.left_ms)
        )


@dataclass(eq=False, kw_only=True)
class StandingChoice:
    """What was chosen for the call `asked`. `make`: makes the plan of a decision."""

    asked: Asked
    seen: Seen
    kind: Hashable
    weighed: Weighed
    make: Callable[[Decision], CallPlan]
    until: float = 0.0
    _made: dict[Decision, CallPlan] = field(default_factory=dict)

    def planned(self, decision: Decision) -> CallPlan:
        """The plan for this decision. It is made once."""
        made = self._made.get(decision)
        if made is None:
            made = self._made[decision] = self.make(decision)
        return made


class StandingChoices:
    """The choices that stand now."""

    def __init__(self) -> None:
        # A choice keeps its model and options alive, so that their identity names nothing else meanwhile.
        self._by_kind: dict[Hashable, StandingChoice] = {}

    def of(self, asked: Asked, *, now: float, seen: Seen) -> StandingChoice | None:
        """The choice that stands for this call. None: there is none."""
        standing = self._by_kind.get(asked.kind)
        if standing is None or now > standing.until or standing.seen != seen or not asked.is_like(standing.asked):
            return None
        return standing

    def keep(self, choice: StandingChoice, *, now: float) -> None:
        """Let a choice stand from now on."""
        if len(self._by_kind) >= _MOST:
            self._by_kind.clear()
        choice.until = now + _STANDS_S
        self._by_kind[choice.asked.kind] = choice

    def clear(self) -> None:
        """Let none stand."""
        self._by_kind.clear()


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * max(one, other)
