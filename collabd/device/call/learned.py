"""What the daemon has learned from calls. A new configuration does not erase it."""

from __future__ import annotations

from collabd.clock import Clock
from collabd.device.call.history import History
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.chooser import PastPlans
from collabd.device.job.image import ImageSize
from collabd.device.job.job import CallRecord
from collabd.planning.candidates import SOURCE
from collabd.sensing.estimates.overhead import Overheads, Way
from collabd.sensing.estimates.speed import SpeedFactor


class Learned:
    """The device's speed and overhead, the last plan of each kind of calls, and the last decisions.

    The companion object keeps what calls teach about a companion; the model object keeps what they teach about a model.
    """

    def __init__(self, speed: SpeedFactor, *, clock: Clock) -> None:
        self._clock = clock
        self.speed = speed
        self.overheads = Overheads()
        self.past_plans = PastPlans()
        self.history = History(clock)

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
        if not record.why:
            self._take_in_overhead(plan, image, record, served_s=served_s, now=now)
        for measured_s, profiled_s in record.speed_here:
            self.speed.learn(measured_s=measured_s, profiled_s=profiled_s, now=now, expected=slowdown)
        if job.companion is not None:
            for measured_s, profiled_s in record.speed_there:
                job.companion.learn_speed(measured_s, profiled_s)

    def _take_in_overhead(
        self, plan: CallPlan, image: ImageSize, record: CallRecord, *, served_s: float, now: float
    ) -> None:
        alone, of_file, nbytes, first = record.alone, image.of_file, image.nbytes, plan.job.steps[0].crossing
        way = Way.ALONE if "C" not in record.ran else Way.ASKS
        if first is not None and first.codec == SOURCE:
            way = Way.SENDS_FILE
        self.overheads.learn_served(served_s, now, nbytes, of_file=of_file, way=way, alone=alone)
        if record.caller_s is not None:
            self.overheads.learn_caller(record.caller_s, now, nbytes, of_file=of_file, alone=alone)
        if "C" in record.ran:
            self.overheads.learn_asking(record.asking_s, now, record.bytes_up, alone=alone)
