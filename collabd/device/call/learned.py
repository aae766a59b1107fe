"""What the daemon has learned from calls. A new configuration does not erase it."""

from __future__ import annotations

from collab_sdk.vocabulary import Cascade
from collabd.clock import Clock
from collabd.device.call.history import History
from collabd.device.call.stream_calls import StreamCalls
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.chooser import PastPlans
from collabd.device.job.image import ImageSize
from collabd.device.job.job import CallRecord
from collabd.planning.candidates import SOURCE
from collabd.sensing.estimates.overhead import Overheads, Way
from collabd.sensing.estimates.speed import SpeedFactor


class Learned:
    """The device's speed and overhead, the last plan of each kind of calls, the last decisions, and what the calls of
    each stream came to.

    The companion object keeps what calls teach about a companion; the model object keeps what they teach about a model.
    """

    def __init__(self, speed: SpeedFactor, *, clock: Clock) -> None:
        self._clock = clock
        self.speed = speed
        self.overheads = Overheads()
        self.past_plans = PastPlans()
        self.history = History(clock)
        self.stream_calls = StreamCalls(clock)

    def take_in(
        self,
        plan: CallPlan,
        image: ImageSize,
        record: CallRecord,
        *,
        served_s: float,
        slowdown: float,
        now: float,
    ) -> None:
        """Learn from a call that ended at `now`.

        `served_s`: what the daemon took for it beside its phases. `slowdown`: a run was expected to take this many
        times as long as a run alone on the device.
        """
        job = plan.job
        if "prep" in record.phases:
            job.model.prep.learn(image.pixels / 1e6, record.phases["prep"], now)
        if "answer" in record.phases:
            job.model.answering.learn(image.pixels / 1e6, record.phases["answer"], now)
        # A call beside an exchange that was called off mixes what both ways cause.
        if not record.why and not (record.little_answered and job.little and job.little.kind is Cascade.RACED):
            self._take_in_overhead(plan, image, record, served_s=served_s, now=now)
        for measured_s, profiled_s, precision in record.speed_here:
            self.speed.learn(
                measured_s=measured_s,
                profiled_s=profiled_s,
                whole_s=job.model.whole_in_s(precision),
                now=now,
                expected=slowdown,
            )
        for companion, sample in record.speed_there:
            companion.learn_speed(job.model.digest, **sample._asdict())

    def _take_in_overhead(
        self, plan: CallPlan, image: ImageSize, record: CallRecord, *, served_s: float, now: float
    ) -> None:
        alone, of_file, nbytes, steps = record.alone, image.of_file, image.nbytes, plan.job.steps
        first = steps[0].crossing if steps else None
        if not steps:
            way = Way.INHERITS
        elif first is not None and first.codec == SOURCE and not record.little_answered:
            way = Way.SENDS_FILE
        else:
            way = Way.ALONE if "C" not in record.ran else Way.ASKS
        self.overheads.learn_served(served_s, now, nbytes, of_file=of_file, way=way, alone=alone)
        if record.caller_s is not None:
            self.overheads.learn_caller(record.caller_s, now, nbytes, of_file=of_file, alone=alone)
        if "C" in record.ran:
            self.overheads.learn_asking(record.asking_s, now, record.bytes_up, alone=alone)
