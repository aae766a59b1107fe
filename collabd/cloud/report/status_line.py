"""The daemon in one line, for `systemctl status`."""

from __future__ import annotations

from collab_sdk.reports import CloudStatusReport
from collabd.health.status_line import errors_in


def status_line(address: str, report: CloudStatusReport) -> str:
    """What does not work; where it listens, how many packages it holds, and what it has answered."""
    total, last_ms = report["answers"]["total"], report["answers"]["last_ms"]
    calls = "no request yet" if last_ms is None else f"{total} answers, the last took {last_ms:.1f} ms"
    return "; ".join([*errors_in(report["health"]), f"{address} with {len(report['packages'])} packages: {calls}"])
