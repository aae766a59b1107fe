"""A call on its way: the plan as the executor runs it, and the record of what happened."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from collabd.device.companion import Companion, RemoteAnswer
from collabd.device.model import Model
from collabd.device.photo import Photo
from collabd.device.placement import Stage

Fallback = Literal["local", "fail", "never-leave"]


@dataclass(frozen=True)
class Job:
    """What to run. `channel_axis` goes with the codec; `deadline_s` counts from `Record.started`."""

    model: Model
    photo: Photo
    stages: tuple[Stage, ...]
    codec: str
    channel_axis: int | None
    companion: Companion | None
    fallback: Fallback
    # Energy matters more than time: do not run the tail here before the companion's answer is as good as lost.
    sparing: bool
    deadline_s: float | None
    # Should the companion fail: the rest of the network on this device, as slow as it may well be.
    local_tail_s: float
    # The companion's own work, all of it, without queue and link.
    tail_s: float


@dataclass
class Record:
    """What happened to a job: seconds a phase (None: that phase was not part of it), bytes, letters that really ran."""

    started: float = field(default_factory=time.perf_counter)
    prep_s: float | None = None
    head_s: float | None = None
    encode_s: float | None = None
    link_s: float | None = None
    queue_s: float | None = None
    decode_s: float | None = None
    tail_s: float | None = None
    local_tail_s: float | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    cost: float = 0.0
    ran: str = ""
    # Why the plan was not followed; empty: it was.
    failure: str = ""
    answers: list[RemoteAnswer] = field(default_factory=list)

    def add(self, phase: str, seconds: float) -> None:
        """Add to the phase's time."""
        setattr(self, phase, (getattr(self, phase) or 0.0) + seconds)

    def elapsed_s(self) -> float:
        """Seconds since the job started."""
        return time.perf_counter() - self.started

    def note_answer(self, answer: RemoteAnswer, cost: float) -> None:
        """Add what an exchange with a companion took."""
        self.answers.append(answer)
        for phase, seconds in (
            ("link_s", answer.link_s),
            ("queue_s", answer.queue_s),
            ("decode_s", answer.decode_s),
            ("tail_s", answer.compute_s),
        ):
            self.add(phase, seconds)
        self.bytes_up += answer.bytes_up
        self.bytes_down += answer.bytes_down
        self.cost += cost


Tensors = dict[str, npt.NDArray[np.generic]]
