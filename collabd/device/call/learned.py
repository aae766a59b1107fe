"""What calls have taught the daemon; it outlives a new configuration."""

from __future__ import annotations

from collabd.clock import Clock
from collabd.device.call.history import History
from collabd.device.decide.chooser import PastPlans
from collabd.device.decide.planner import CallPlan
from collabd.device.job.job import CallRecord
from collabd.sensing.estimates.overhead import Overhead
from collabd.sensing.estimates.speed import SpeedFactor


class Learned:
    """The device's speed and overhead, the last plan of each kind of calls, and the last decisions.

    What calls teach about a companion or a model is the companion's or the model's own.
    """

    def __init__(self, slowdown: float, *, clock: Clock) -> None:
        """`slowdown`: times slower than profiled that this device is emulated to be."""
        self._clock = clock
        self.speed = SpeedFactor(slowdown)
        self.overhead = Overhead()
        self.past_plans = PastPlans()
        self.history = History(clock)

    def take_in(self, plan: CallPlan, record: CallRecord, *, slowdown: float) -> None:
        """Learn from a call that has ended; `slowdown`: times longer than alone that a run was expected to take."""
        job, now = plan.job, self._clock()
        if "prep" in record.phases:
            job.model.prep.learn(job.photo.pixels / 1e6, record.phases["prep"], now)
        if not record.why:
            self.overhead.learn(record.unaccounted_s(), now, alone=record.alone)
        for measured_s, profiled_s in record.speed_here:
            self.speed.learn(measured_s=measured_s, profiled_s=profiled_s, now=now, expected=slowdown)
        if job.companion is not None:
            for measured_s, profiled_s in record.speed_there:
                job.companion.learn_speed(measured_s, profiled_s)
