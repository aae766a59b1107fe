"""How long each phase of a call takes, and how that varies: every formula once, as a table of factors.

A phase is a sum of products: the seconds of `UP` are the feature `UP_BYTES` * seconds a byte. So a table of factors,
phase by feature, says what any plan takes, and one matrix product evaluates all plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from collabd.planning.candidates import (
    ASKS_COMPANION,
    BESIDE_S,
    DECODE_S,
    DOWN_BYTES,
    ENCODE_S,
    FEATURES,
    HEAD_S,
    INHERITS,
    LITTLE_ANSWERS,
    LITTLE_S,
    PREPARES_BESIDE,
    PREPARES_IMAGE,
    PREPARES_LITTLE,
    SENDS_FILE,
    TAIL_S,
    UP_BYTES,
    Column,
)
from collabd.planning.cost import exchange_cost
from collabd.planning.energy import energy_j
from collabd.planning.state import CallFacts, CloudState, DeviceState

# The phases of a call, in the order in which they come.
OVERHEAD, LANE, PREP, LITTLE, HEAD, ENCODE, ROUND_TRIP, UP, QUEUE, DECODE, TAIL, DOWN, ANSWER = range(13)
PHASES = 13
# What else adds up: the work of a little network beside an exchange, bytes up and down, and exchanges.
BESIDE, MOVED_BYTES, REQUESTS = 13, 14, 15
_ROWS = 16


def _sums_of(*groups: tuple[int, ...]) -> Column:
    """The matrix that adds up the rows of a table by group, float64 [groups, rows]."""
    return np.array([[float(row in group) for row in range(_ROWS)] for group in groups])


# The phases in which the device works, those in which it waits, and of these the ones that have its radio on the air.
_WORKS, _ON_AIR = (OVERHEAD, PREP, LITTLE, HEAD, ENCODE, ANSWER, BESIDE), (UP, DOWN)
_WAITS = (LANE, ROUND_TRIP, UP, QUEUE, DECODE, TAIL, DOWN)
_ENERGY = _sums_of(_WORKS, _WAITS, _ON_AIR, (MOVED_BYTES,))
# While a little network runs beside an exchange, the device does not wait for it.
_ENERGY[1, BESIDE] = -1.0
# Phases that vary together: with the load of the device, with the link, and with the load of the companion.
_VARY = (LANE, PREP, LITTLE, HEAD, ENCODE, ANSWER), _ON_AIR, (QUEUE, DECODE, TAIL)
_VARYING = _sums_of(*_VARY)
# The latency, the part of it that moves bytes, and the three parts that vary.
_TIMES = _sums_of(tuple(range(PHASES)), _ON_AIR, *_VARY)
LATENCY, TRANSFER, DEVICE_VARIES = 0, 1, 2
# What a call takes that a little network on the device answers, first or beside an exchange.
_SURE = _sums_of((OVERHEAD, LANE, PREP, LITTLE, HEAD, ENCODE, ANSWER, BESIDE))


class PlanPhases(NamedTuple):
    """Seconds of each phase, one figure a plan; in the order of the phases above."""

    # Beside the phases: what the caller and the daemon do for any call, and what they do to ask a companion.
    overhead_s: Column
    # Waiting for the device's lane.
    lane_s: Column
    # Decoding and resizing the image on the device.
    prep_s: Column
    # A little network that is asked first.
    little_s: Column
    head_s: Column
    encode_s: Column
    round_trip_s: Column
    up_s: Column
    # Waiting at the companion.
    queue_s: Column
    # Decoding the features, or the file, at the companion.
    decode_s: Column
    # The tail at the companion.
    tail_s: Column
    down_s: Column
    # Making the caller's answer of the network's outputs on the device.
    answer_s: Column

    @property
    def link_s(self) -> Column:
        """The round trip and the bytes, both ways."""
        return self.round_trip_s + self.up_s + self.down_s

    @property
    def moving_s(self) -> Column:
        """Moving the bytes, both ways: one of the three stages that overlap in a stream."""
        return self.up_s + self.down_s

    @property
    def busy_s(self) -> Column:
        """The device's own work: another of these stages."""
        return self.prep_s + self.little_s + self.head_s + self.encode_s + self.answer_s

    @property
    def remote_s(self) -> Column:
        """The companion's work: the third of these stages."""
        return self.decode_s + self.tail_s


@dataclass(frozen=True)
class PhaseTable:
    """What each phase takes with each companion for one of each feature: float64 [rows, companions, features].

    `spreads`: the relative deviations of the device, the link and the companion, float64 [3, companions].
    """

    usual: Column
    spreads: Column

    @cached_property
    def times(self) -> Column:
        """Factors of the latency, of the transfer, and of the deviations of device, link and companion: float64
        [5, companions * features]."""
        # For matrices as small as these, `np.dot` takes half as long as the operator.
        sums: Column = np.dot(_TIMES, self.usual.reshape(_ROWS, -1))
        sums.reshape(len(_TIMES), -1, FEATURES)[DEVICE_VARIES:] *= self.spreads[:, :, None]
        return sums

    @property
    def sure(self) -> Column:
        """Factors of the latency of a call that a little network answers: float64 [companions * features]."""
        factors: Column = np.dot(_SURE, self.usual.reshape(_ROWS, -1))[0]
        return factors

    @property
    def phases(self) -> Column:
        """Factors of each phase, float64 [PHASES, companions * features]."""
        return self.usual[:PHASES].reshape(PHASES, -1)

    def bills(self, device: DeviceState, clouds: Sequence[CloudState]) -> Column:
        """Factors of the device's energy and its deviation, and of the cost and its deviation: float64
        [4, companions * features]. The deviations are those where all that varies deviates at once."""
        deviation = self.usual * (_VARYING.T @ self.spreads)[:, :, None]
        takes = np.stack((self.usual, deviation), axis=1)
        busy_s, idle_s, air_s, moved_bytes = _ENERGY @ takes.reshape(_ROWS, -1)
        energy = energy_j(device, busy_s=busy_s, idle_s=idle_s, air_s=air_s, moved_bytes=moved_bytes)
        moved, run_s, requests = takes[MOVED_BYTES], takes[TAIL], takes[REQUESTS]
        costs = [
            exchange_cost(cloud, moved_bytes=moved[:, there], run_s=run_s[:, there], requests=requests[:, there])
            for there, cloud in enumerate(clouds)
        ]
        return np.concatenate((energy.reshape(2, -1), np.concatenate(costs, axis=1)))


def phase_table(device: DeviceState, clouds: Sequence[CloudState], call: CallFacts) -> PhaseTable:
    """The table with what is known now. Where the file is sent, the companion prepares the image.

    The wait for the lane counts once more where an image is prepared for a little network by a rule of its own.
    """
    file_bytes = float(call.source_bytes or 0)
    usual = np.zeros((_ROWS, len(clouds), FEATURES))
    spreads = np.empty((3, len(clouds)))
    for index, (cloud, cloud_prep_s) in enumerate(zip(clouds, call.cloud_prep_s, strict=True)):
        takes = usual[:, index]
        takes[OVERHEAD, PREPARES_IMAGE] = device.overhead_s
        takes[OVERHEAD, ASKS_COMPANION] = device.asking_s + device.asks_more_s
        takes[OVERHEAD, SENDS_FILE] = device.overhead_s + device.sends_file_more_s - device.asks_more_s
        takes[OVERHEAD, UP_BYTES] = device.asking_s_per_byte
        takes[OVERHEAD, SENDS_FILE] += device.asking_s_per_byte * file_bytes
        takes[OVERHEAD, INHERITS] = device.overhead_s + device.inherits_more_s
        takes[LANE, PREPARES_IMAGE] = device.queue_s
        takes[PREP, PREPARES_IMAGE] = call.prep_s
        takes[LANE, PREPARES_LITTLE] = takes[LANE, LITTLE_ANSWERS] = device.queue_s
        takes[PREP, PREPARES_LITTLE] = takes[PREP, LITTLE_ANSWERS] = takes[BESIDE, PREPARES_BESIDE] = call.little_prep_s
        takes[LITTLE, LITTLE_S] = takes[BESIDE, BESIDE_S] = device.speed
        takes[OVERHEAD, LITTLE_ANSWERS] = device.overhead_s
        takes[HEAD, HEAD_S] = takes[ENCODE, ENCODE_S] = device.speed
        takes[ROUND_TRIP, ASKS_COMPANION] = cloud.rtt_s
        takes[UP, UP_BYTES], takes[UP, SENDS_FILE] = cloud.up_s_per_byte, cloud.up_s_per_byte * file_bytes
        takes[QUEUE, ASKS_COMPANION] = cloud.queue_s
        takes[DECODE, DECODE_S], takes[DECODE, SENDS_FILE] = cloud.speed, cloud.speed * cloud_prep_s
        takes[TAIL, TAIL_S] = cloud.speed
        takes[DOWN, DOWN_BYTES] = cloud.down_s_per_byte
        takes[ANSWER, [PREPARES_IMAGE, SENDS_FILE, LITTLE_ANSWERS, INHERITS]] = call.answer_s
        takes[MOVED_BYTES, UP_BYTES] = takes[MOVED_BYTES, DOWN_BYTES] = 1.0
        takes[MOVED_BYTES, SENDS_FILE] = file_bytes
        takes[REQUESTS, ASKS_COMPANION] = 1.0
        varies = spreads[:, index]
        varies[0], varies[1], varies[2] = device.spread, cloud.link_spread, cloud.speed_spread
    return PhaseTable(usual, spreads)
