"""A call on its way: the plan as the executor runs it, and the record of what happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from collab_sdk.vocabulary import Fallback
from collabd.clock import Clock
from collabd.device.companions.answers import RemoteAnswer
from collabd.device.companions.companion import Companion
from collabd.device.job.image import CallImage
from collabd.device.job.placement import NO_CODEC, Stage
from collabd.device.models.model import DeviceModel
from collabd.planning.candidates import SOURCE


@dataclass(frozen=True)
class Crossing:
    """How the tensors of a stage travel to the companion; `channel_axis` goes with the codec.

    Seconds as profiled on idle machines: `decode_s` there; `rest_s` of the network from here on this device, should the
    companion fail.
    """

    codec: str
    channel_axis: int | None
    decode_s: float
    rest_s: float


@dataclass(frozen=True)
class JobStep:
    """A stage of a job, and the seconds that it takes on an idle machine of its side; `crossing`: on the companion."""

    stage: Stage
    run_s: float
    crossing: Crossing | None = None

    @property
    def work_s(self) -> float:
        """The companion's own work, without queue and link."""
        return self.run_s + (0.0 if self.crossing is None else self.crossing.decode_s)


def codec_name(codecs: Iterable[str]) -> str:
    """The codecs of a plan's crossings as one name: "source+q8"."""
    return "+".join(dict.fromkeys(codecs)) or NO_CODEC


@dataclass(frozen=True)
class Job:
    """What to run. `deadline_s` counts from `CallRecord.started`."""

    model: DeviceModel
    photo: CallImage
    steps: tuple[JobStep, ...]
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

    @property
    def codec(self) -> str:
        """How features travel, at all crossings."""
        return codec_name(step.crossing.codec for step in self.steps if step.crossing is not None)

    def rest_s(self, crossing: Crossing) -> float:
        """Seconds that the network from a crossing on may well take here."""
        return crossing.rest_s * self.slow + (self.prep_s if crossing.codec == SOURCE else 0.0)


PHASES = ("prep", "head", "encode", "link", "queue", "decode", "tail", "local_tail")


@dataclass
class CallRecord:
    """What happened to a job: seconds a phase (None: that phase was not part of it), bytes, letters that really ran."""

    clock: Clock
    started: float
    prep_s: float | None = None
    head_s: float | None = None
    encode_s: float | None = None
    link_s: float | None = None
    queue_s: float | None = None
    decode_s: float | None = None
    tail_s: float | None = None
    local_tail_s: float | None = None
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

    def add(self, phase: str, seconds: float) -> None:
        """Add to the phase's time."""
        setattr(self, phase, (getattr(self, phase) or 0.0) + seconds)

    def elapsed_s(self) -> float:
        """Seconds since the job started."""
        return self.clock() - self.started

    def unaccounted_s(self) -> float:
        """Seconds since the job was taken up that are no phase's, nor spent waiting for the lane."""
        phases_s = sum(getattr(self, f"{phase}_s") or 0.0 for phase in PHASES)
        return self.elapsed_s() - self.waited_s - self.lane_s - phases_s

    def note_unanswered(self, bytes_up: int, *, air_s: float, cost: float) -> None:
        """Add what an exchange took whose answer was not waited for."""
        self.air_s += air_s
        self.bytes_up += bytes_up
        self.cost += cost

    def note_answer(self, answer: RemoteAnswer, *, air_s: float, cost: float) -> None:
        """Add what an exchange with a companion took."""
        self.air_s += air_s
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
