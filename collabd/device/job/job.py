"""A call under way: the job that the executor runs, and the record of what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Literal

from collab_sdk.vocabulary import Fallback
from collabd.clock import Clock
from collabd.device.companions.companion import Companion
from collabd.device.job.placement import NO_CODEC, Stage
from collabd.device.models.model import DeviceModel


@dataclass(frozen=True)
class Crossing:
    """How the tensors of a stage travel to the companion. `channel_axis`: the axis that the codec treats as channels.

    Both times are profiled on idle machines, in seconds. `decode_s`: the companion decodes the tensors. `rest_s`: this
    device runs the rest of the network itself, if the companion fails.
    """

    codec: str
    channel_axis: int | None
    _: KW_ONLY
    decode_s: float
    rest_s: float


@dataclass(frozen=True)
class JobStep:
    """One stage of a job. `run_s`: how long it takes on its side when that machine is idle, in seconds.

    `crossing`: how its tensors travel; None for a stage on this device.
    """

    stage: Stage
    run_s: float
    crossing: Crossing | None = None


def codec_name(codecs: Iterable[str]) -> str:
    """The codecs of a plan's crossings as one name: "source+q8"."""
    return "+".join(dict.fromkeys(codecs)) or NO_CODEC


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the executor runs. `deadline_s`: seconds after `CallRecord.started`; None: no deadline."""

    model: DeviceModel
    steps: tuple[JobStep, ...]
    # The codecs of all crossings, as one name.
    codec: str
    companion: Companion | None
    # If `companion` is None although a step needs one: why.
    alone: str
    fallback: Fallback
    # If true, this device runs the tail only when the companion's answer is as good as lost, never to be faster.
    sparing: bool
    deadline_s: float | None
    # How many times longer than profiled a run on this device may take.
    slow: float
    # How many seconds the job should run on this device, if everything goes as planned.
    here_s: float
    # How many seconds this device needs to prepare the image, if a companion that was sent the file fails.
    prep_s: float
    # Whether the steps' times were profiled for exactly these runs. Only then do the runs show the machines' speed.
    profiled: bool


Phase = Literal["prep", "head", "encode", "link", "queue", "decode", "tail", "local_tail"]


@dataclass(eq=False)
class CallRecord:
    """What happened to a job.

    `phases`: the seconds of each phase. `bytes_up`, `bytes_down`: bytes sent and received. `ran`: for each layer, the
    letter of the side that really ran it.
    """

    clock: Clock
    started: float
    _: KW_ONLY
    phases: defaultdict[Phase, float] = field(default_factory=partial(defaultdict, float))
    # Seconds from the arrival of the call until its output was ready.
    latency_s: float = 0.0
    # Seconds until the call was admitted and its body was read.
    waited_s: float = 0.0
    # Seconds that the call waited for the lane while other calls used it.
    lane_s: float = 0.0
    # Seconds that asking companions took on this device, beside the exchanges' own phases.
    asking_s: float = 0.0
    # Seconds that the last call of this kind took in the caller's own program; None: it did not say.
    caller_s: float | None = None
    # Whether no other call was under way at the same time.
    alone: bool = True
    # Seconds spent on local tails that the companion's answer overtook.
    overtaken_s: float = 0.0
    # Seconds during which bytes moved over the link, also in exchanges that got no answer.
    air_s: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    cost: float = 0.0
    ran: str = ""
    # Why the plan was not followed; empty if it was. `degraded`: it was not followed because something failed.
    why: str = ""
    degraded: bool = False
    # For each run that shows how fast a machine is: (measured seconds, profiled seconds).
    speed_here: list[tuple[float, float]] = field(default_factory=list)
    speed_there: list[tuple[float, float]] = field(default_factory=list)

    def served_s(self) -> float:
        """Seconds that the daemon took to serve the call, beside its phases and without asking a companion."""
        # A call that is alone waits for no other, but for its thread to wake up, as the next one will.
        waited_s = self.waited_s + (0.0 if self.alone else self.lane_s)
        return self.latency_s - waited_s - self.asking_s - sum(self.phases.values())
