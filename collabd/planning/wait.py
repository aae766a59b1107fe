"""How long an answer from a companion may take, as a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, hypot, log, pi, sqrt

from collabd.planning.state import CloudState

# The deviation that the schedulers of both machines add.
_JITTER_S = 1e-3
# The unsure part of a wait lasts at least so many deviations of the companion's work.
_DEVIATIONS = 3.0
# One answer in a hundred follows no estimate: a packet was lost, the cell changed, or the companion was busy elsewhere.
_ASTRAY = 0.01
_FAR = 50.0


@dataclass(frozen=True)
class Wait:
    """Seconds from sending to the answer: `sure_s`, and a median of `unsure_s` more, with this relative `spread`."""

    sure_s: float
    unsure_s: float
    spread: float

    @property
    def median_s(self) -> float:
        """Half of the answers come earlier."""
        return self.sure_s + self.unsure_s

    def longer_than(self, seconds: float) -> float:
        """The probability that the answer takes longer, 0..1.

        The unsure part is log-logistic, which has the heavy tail that links have. Answers that follow no estimate have
        the same median, but a heavier tail: one in n takes n times as long.
        """
        if seconds <= self.sure_s:
            return 1.0
        far = log(seconds - self.sure_s) - log(self.unsure_s)
        usual = _at_least(far * pi / (sqrt(3) * self.spread))
        return (1 - _ASTRAY) * usual + _ASTRAY * _at_least(far)


def expected_wait(cloud: CloudState, *, up_bytes: float, down_bytes: float, work_s: float) -> Wait:
    """The wait for an answer; the companion was profiled to do the work in `work_s` when idle."""
    moving_s = up_bytes * cloud.up_s_per_byte + down_bytes * cloud.down_s_per_byte
    there_s = work_s * cloud.speed + cloud.queue_s
    doubt_s = hypot(cloud.speed_spread * there_s, _JITTER_S)
    unsure_s = max(moving_s, _DEVIATIONS * doubt_s)
    return Wait(
        sure_s=max(cloud.rtt_s + moving_s + there_s - unsure_s, 0.0),
        unsure_s=unsure_s,
        spread=hypot(cloud.link_spread * moving_s, doubt_s) / unsure_s,
    )


def _at_least(x: float) -> float:
    """One minus the logistic function."""
    return 1 / (1 + exp(min(max(x, -_FAR), _FAR)))
