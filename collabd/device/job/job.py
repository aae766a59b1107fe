"""A call under way: the job that the executor runs, and the record of what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from collab_sdk.vocabulary import Cascade, Fallback, Precision, Sureness
from collabd.catalog.package.sureness import Opinion
from collabd.clock import Clock
from collabd.device.companions.companion import Companion
from collabd.device.job.placement import NO_CODEC, Stage
from collabd.device.models.model import DeviceModel
from collabd.planning import Caps, DeviceState
from collabd.planning.energy import energy_j
from collabd.planning.precisions import Precisions


@dataclass(frozen=True)
class Crossing:
    """How the tensors of a stage travel to the companion. `channel_axis`: the axis that the codec treats as channels.

    Both times are profiled on idle machines, in seconds. `decode_s`: the companion decodes the tensors. `rest_s`: this
    device runs the rest of the network itself, if the companion fails; `rest_in`: in this precision.
    """

    codec: str
    channel_axis: int | None
    _: KW_ONLY
    decode_s: float
    rest_s: float
    rest_in: Precision = Precision.FP32


@dataclass(frozen=True)
class JobStep:
    """One stage of a job. `run_s`: how long it takes on its side when that machine is idle, in seconds.

    `crossing`: how its tensors travel; None for a stage on this device. `precision`: in which it runs on its side.
    """

    stage: Stage
    run_s: float
    crossing: Crossing | None = None
    _: KW_ONLY
    precision: Precision = Precision.FP32


def codec_name(codecs: Iterable[str]) -> str:
    """The codecs of a plan's crossings as one name: "source+q8"."""
    return "+".join(dict.fromkeys(codecs)) or NO_CODEC


@dataclass(frozen=True)
class Standby:
    """A companion that may be asked if another one fails. `steps`: those of the job, in this companion's time."""

    companion: Companion
    steps: tuple[JobStep, ...]


@dataclass(frozen=True, kw_only=True)
class LittleStep:
    """A little network that a job asks, in this precision. It answers where it is sure enough.

    `score`: how that is measured.

    `run_s`: its run on an idle device, in seconds. `same_picture`: it takes the picture as the job's model does.
    """

    model: DeviceModel
    kind: Cascade
    precision: Precision = Precision.FP32
    score: Sureness
    least: float
    run_s: float
    same_picture: bool


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the executor runs. `deadline_s`: seconds after `CallRecord.started`; None: no deadline."""

    model: DeviceModel
    steps: tuple[JobStep, ...]
    # The codecs of all crossings, as one name.
    codec: str
    precisions: Precisions
    companion: Companion | None
    # If `companion` is None although a step needs one: why.
    alone: str
    # Those that may take over from `companion`: they run the same layers in the same precisions.
    standbys: tuple[Standby, ...]
    # What the call may take, counted from its arrival. Caps that the plan will most likely break are left out.
    caps: Caps
    # What the call takes beside the companion's work was predicted with this.
    device: DeviceState
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
    # None: no little network is asked.
    little: LittleStep | None = None
    # Whether the policy allows the picture itself to be sent to companions, for this call and to learn from it.
    picture_may_leave: bool = False


Phase = Literal["prep", "look", "little", "head", "encode", "link", "queue", "decode", "tail", "local_tail", "answer"]
_ON_DEVICE: tuple[Phase, ...] = ("prep", "look", "little", "head", "encode", "local_tail", "answer")


class SpeedSample(NamedTuple):
    """What a run took, and what it takes in the profile, in seconds."""

    measured_s: float
    profiled_s: float
    precision: Precision


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
    # Seconds from the arrival of the call until its answer was ready.
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
    # The companions that ran a part of it, in the order in which they answered.
    ran_on: list[str] = field(default_factory=list)
    # What went wrong with each companion that failed, in words.
    failures: list[str] = field(default_factory=list)
    # In which precision the layers behind the last crossing really ran; None: nothing crossed.
    tail: Precision | None = None
    # What the little network said; None: it was not asked, or was stopped. Whether that answered the call.
    opinion: Opinion | None = None
    little_answered: bool = False
    # Why the plan was not followed; empty if it was. `degraded`: it was not followed because something failed.
    why: str = ""
    # How many seconds ago the call arrived whose answer this call inherited; None: it inherited none.
    inherited_age_s: float | None = None
    # What else is to be said of the answer.
    remark: str = ""
    degraded: bool = False
    # The runs that show how fast the machines are.
    speed_here: list[SpeedSample] = field(default_factory=list)
    speed_there: list[tuple[Companion, SpeedSample]] = field(default_factory=list)

    def answered_since(self, began: float) -> None:
        """Since `began` the caller's answer was made of the network's outputs. The call ends now."""
        took_s = self.clock() - began
        self.phases["answer"] += took_s
        self.latency_s += took_s

    def served_s(self) -> float:
        """Seconds that the daemon took to serve the call, beside its phases and without asking a companion."""
        # A call that is alone waits for no other, but for its thread to wake up, as the next one will.
        waited_s = self.waited_s + (0.0 if self.alone else self.lane_s)
        return self.latency_s - waited_s - self.asking_s - sum(self.phases.values())

    def energy_j(self, device: DeviceState, latency_s: float) -> float:
        """The joules that the call took from the battery within its `latency_s`, computed from measured times.

        The device counts as idle whenever it was not busy with the call.
        """
        phases_s = sum(self.phases.get(phase, 0.0) for phase in _ON_DEVICE)
        busy_s = phases_s + self.overtaken_s + device.overhead_s
        return energy_j(
            device,
            busy_s=busy_s,
            idle_s=max(latency_s - busy_s, 0.0),
            air_s=self.air_s,
            moved_bytes=float(self.bytes_up + self.bytes_down),
        )
