"""A call on its way: the plan as the executor runs it, and the record of what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Literal

from collab_sdk.vocabulary import Fallback
from collabd.clock import Clock
from collabd.device.companions.companion import Companion
from collabd.device.job.image import CallImage
from collabd.device.job.placement import NO_CODEC, Stage
from collabd.device.models.model import DeviceModel


@dataclass(frozen=True)
class Crossing:
    """How the tensors of a stage travel to the companion; `channel_axis` goes with the codec.

    Seconds as profiled on idle machines: `decode_s` there; `rest_s` of the network from here on this device, should the
    companion fail.
    """

    codec: str
    channel_axis: int | None
    _: KW_ONLY
    decode_s: float
    rest_s: float


@dataclass(frozen=True)
class JobStep:
    """A stage of a job, and the seconds that it takes on an idle machine of its side; `crossing`: on the companion."""

    stage: Stage
    run_s: float
    crossing: Crossing | None = None


def codec_name(codecs: Iterable[str]) -> str:
    """The codecs of a plan's crossings as one name: "source+q8"."""
    return "+".join(dict.fromkeys(codecs)) or NO_CODEC


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run. `deadline_s` counts from `CallRecord.started`."""

    model: DeviceModel
    photo: CallImage
    steps: tuple[JobStep, ...]
    # How features travel, at all crossings.
    codec: str
    companion: Companion | None
    # Why there is no companion, should a step need one.
    alone: str
    fallback: Fallback
    # Do not run the tail here for the chance to be first: not before the companion's answer is as good as lost.
    sparing: bool
    deadline_s: float | None
    # How many times longer than profiled a run may well take here.
    slow: float
    # What it is expected to run here, if all goes as planned.
    here_s: float
    # To prepare the image here, should the companion that gets the file fail.
    prep_s: float
    # Whether the steps' seconds are profiled for just these runs, so that these tell of the machines' speed.
    profiled: bool


Phase = Literal["prep", "head", "encode", "link", "queue", "decode", "tail", "local_tail"]


@dataclass(eq=False)
class CallRecord:
    """What happened to a job: seconds of each phase that was part of it, bytes, letters that really ran."""

    clock: Clock
    started: float
    _: KW_ONLY
    phases: defaultdict[Phase, float] = field(default_factory=partial(defaultdict, float))
    # From when the call came until its output was there.
    latency_s: float = 0.0
    # Until the call was let in and had come in.
    waited_s: float = 0.0
    # For the lane, which other calls had.
    lane_s: float = 0.0
    # Whether no other call was under way meanwhile.
    alone: bool = True
    # Spent on tails that the companion overtook.
    overtaken_s: float = 0.0
    # For how long bytes moved over the link, of exchanges without an answer as well.
    air_s: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    cost: float = 0.0
    ran: str = ""
    # Why the plan was not followed; empty: it was. Degraded: since something failed.
    why: str = ""
    degraded: bool = False
    # Of every run that tells how fast a machine is: measured seconds, and profiled ones.
    speed_here: list[tuple[float, float]] = field(default_factory=list)
    speed_there: list[tuple[float, float]] = field(default_factory=list)

    def unaccounted_s(self) -> float:
        """Seconds since the job was taken up that are no phase's, nor spent waiting for the lane."""
        return self.clock() - self.started - self.waited_s - self.lane_s - sum(self.phases.values())
