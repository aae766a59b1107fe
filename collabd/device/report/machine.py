"""The device's part of the status report: the state of the machine and of this process."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeVar

import psutil

from collab_sdk.reports import DeviceReport
from collabd.engine import EngineStats
from collabd.sensing.machine.throttling import Flags
from collabd.sensing.reading import Measured, NotMeasured
from collabd.sensing.sampler import Snapshot

_MB = 1e6
_PROCESS = psutil.Process()

Value = TypeVar("Value")


def device_report(snapshot: Snapshot, engine: EngineStats, *, speed_factor: float) -> DeviceReport:
    """Report the readings in `snapshot`, and the memory that this process uses."""
    load, frequency = _value(snapshot.load), _value(snapshot.frequency)
    throttling, battery = _value(snapshot.throttling), _value(snapshot.battery)
    return DeviceReport(
        cpu_load=None if load is None else load.mean,
        speed_factor=speed_factor,
        memory_mb=_PROCESS.memory_info().rss / _MB,
        sessions=engine.sessions,
        session_mb=engine.bytes / _MB,
        temperature_c=_value(snapshot.temperature),
        frequency_limit_mhz=None if frequency is None else frequency.limit_mhz,
        frequency_max_mhz=None if frequency is None else frequency.max_mhz,
        throttled=None if throttling is None else _raised(throttling.now),
        throttled_before=None if throttling is None else _raised(throttling.seen),
        battery=None if battery is None else battery.charge,
        power_w=snapshot.power.watts.value,
        power_source=snapshot.power.source,
        power_reason=snapshot.power.reason,
    )


def _raised(flags: Flags) -> list[str]:
    return [name.replace("_", "-") for name, is_up in asdict(flags).items() if is_up]


def _value(measured: Measured[Value]) -> Value | None:
    return None if isinstance(measured, NotMeasured) else measured.value
