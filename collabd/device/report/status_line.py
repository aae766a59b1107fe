"""The state of the daemon in one line, for `systemctl status`."""

from __future__ import annotations

from collab_sdk.reports import CloudReport, LastReport, StatusReport
from collab_sdk.vocabulary import CompanionState
from collabd.health.status_line import errors_in


def status_line(report: StatusReport) -> str:
    """What does not work, the last call's model, plan and latency (ms), each companion and its link (Mbit/s)."""
    last = report["last"]
    call = f"{len(report['models'])} models, no call yet" if last is None else _call(last)
    return "; ".join([*errors_in(report["health"]), call, *map(_companion, report["clouds"])])


def _call(last: LastReport) -> str:
    plan = f"{last['cut']} as {last['codec']} to {last['cloud']}" if last["cloud"] else "all on the device"
    return f"{last['model']}: {plan}, {last['measured_ms']:.1f} ms{' (degraded)' if last['degraded'] else ''}"


def _companion(cloud: CloudReport) -> str:
    rate = cloud["up_mbps"]
    if cloud["state"] != CompanionState.UP or rate is None:
        return f"{cloud['name']} is {cloud['state']}"
    return f"{cloud['name']} is up at {rate:.{0 if rate >= 10 else 1}f} Mbit/s"
