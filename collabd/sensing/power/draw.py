"""The power that the machine draws: measured by its best instrument, else modelled. The result says which."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from collabd.sensing.machine.cpu import Load
from collabd.sensing.machine.firmware import Vcgencmd
from collabd.sensing.power.battery import BatterySensor, Discharge
from collabd.sensing.power.board import BoardPower
from collabd.sensing.power.hwmon import Ina
from collabd.sensing.power.meter import Meter
from collabd.sensing.power.pmic import Pmic
from collabd.sensing.power.rapl import Rapl
from collabd.sensing.reading import Every, Measured, NotMeasured, Reading, Smoother

_MODEL = "model"
# Published figures of one board differ by about this, from sample to sample and from setup to setup.
_MODEL_SPREAD = 0.2
# A sample sees one instant of work that comes in bursts. It may be off by this share; the mean of so many seconds less.
_SAMPLE_SPREAD = 0.2
_SMOOTH_S = 5.0
# What was learned of idle and busy power lasts over pauses, but not for long after other devices are plugged in.
_FIT_S = 300.0
# The slope of the model counts as much as samples whose load deviates by a tenth.
_PRIOR_VARIANCE = 0.1**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Watts drawn now. `source`: `model`, or the instrument. `covers`: what part of the machine. `reason`: why a model.

    `board` is for planning: the figures of the model, with busy and idle corrected by measurements once there are any.
    Then they are of the part that the instrument covers.
    """

    watts: Reading[float]
    source: str
    covers: str
    board: BoardPower
    reason: str = ""

    @property
    def measured(self) -> bool:
        """Whether an instrument says so."""
        return self.source != _MODEL


class PowerFit:
    """Busy and idle power by least squares over load and watts. Old samples are forgotten; the model is the prior.

    Two samples, 2.5 W at load 0.1 and 4.9 W at load 0.9, give 2.2 W idle and 5.2 W busy.
    """

    def __init__(self, model: BoardPower) -> None:
        self._model = model
        self._slope = model.busy_w - model.idle_w
        self.samples = 0
        self._load = self._watts = self._variance = self._covariance = 0.0
        self._time: float | None = None

    @property
    def board(self) -> BoardPower:
        """The model, with busy and idle as measured if there were samples."""
        if not self.samples:
            return self._model
        slope = (self._covariance + _PRIOR_VARIANCE * self._slope) / (self._variance + _PRIOR_VARIANCE)
        slope = max(slope, 0.0)
        idle = max(self._watts - slope * self._load, 0.0)
        return replace(self._model, busy_w=idle + slope, idle_w=idle)

    def learn(self, load: float, watts: float, now: float) -> None:
        """Take in one sample. `load`: of all cores together, 0 to 1."""
        self.samples += 1
        forgotten = 0.0 if self._time is None else -math.expm1(-max(now - self._time, 0.0) / _FIT_S)
        weight = max(forgotten, 1 / self.samples)
        load_error, watts_error = load - self._load, watts - self._watts
        self._load += weight * load_error
        self._watts += weight * watts_error
        self._variance = (1 - weight) * (self._variance + weight * load_error**2)
        self._covariance = (1 - weight) * (self._covariance + weight * load_error * watts_error)
        self._time = now


class PowerSensor:
    """Power from `meter`, or from the model of the board when the meter has no reading."""

    def __init__(self, model: BoardPower, meter: Meter | NotMeasured) -> None:
        self._meter = meter
        self._every = Every(0.0 if isinstance(meter, NotMeasured) else meter.every_s)
        self._smoother = Smoother(memory_s=_SMOOTH_S, first_spread=_SAMPLE_SPREAD)
        self._fit = PowerFit(model)
        self._last: Measured[float] = NotMeasured("no sample yet")

    def read(self, now: float, load: Measured[Load]) -> Power:
        """Watts now. `load` is the processor's at the same time."""
        if isinstance(self._meter, NotMeasured):
            return self._modelled(now, load, covers="the whole board", reason=self._meter.reason)
        if self._every.due(now):
            self._last = self._measure(self._meter, now, load)
        if isinstance(self._last, NotMeasured):
            covers = self._meter.covers if self._fit.samples else "the whole board"
            return self._modelled(now, load, covers=covers, reason=self._last.reason)
        return Power(watts=self._last, source=self._meter.name, covers=self._meter.covers, board=self._fit.board)

    def _measure(self, meter: Meter, now: float, load: Measured[Load]) -> Measured[float]:
        watts = meter.watts(now)
        if isinstance(watts, NotMeasured):
            return watts
        if meter.prompt and isinstance(load, Reading) and load.time == now:
            self._fit.learn(load.value.mean, watts, now)
        return self._smoother.learn(watts, now)

    def _modelled(self, now: float, load: Measured[Load], *, covers: str, reason: str) -> Power:
        board = self._fit.board
        return Power(watts=modelled_watts(board, load, now), source=_MODEL, covers=covers, board=board, reason=reason)


def modelled_watts(board: BoardPower, load: Measured[Load], now: float) -> Reading[float]:
    """Idle power, and the load's share of what busy adds. If the load is unknown, the spread covers both extremes."""
    added = board.busy_w - board.idle_w
    share, unknown = (load.value.mean, 0.0) if isinstance(load, Reading) else (0.5, 0.5)
    watts = board.idle_w + share * added
    return Reading(watts, now, spread=math.hypot(_MODEL_SPREAD * watts, unknown * added))


def find_meter(root: Path, vcgencmd: Vcgencmd, battery: BatterySensor) -> Meter | NotMeasured:
    """The best instrument of this machine, or why there is none."""
    reasons = []
    for find in (
        lambda: Rapl.find(root),
        lambda: Ina.find(root),
        lambda: Pmic.find(vcgencmd),
        lambda: Discharge.find(battery),
    ):
        meter = find()
        if not isinstance(meter, NotMeasured):
            return meter
        reasons.append(meter.reason)
    return NotMeasured("; ".join(reasons))
