"""`collabctl doctor`: what is wrong on this machine, and what to do about it. One small module a part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from collabd.ctl.command import Command, chosen_socket
from collabd.ctl.doctor.finding import DoctorReport, Finding, relevant, report
from collabd.ctl.output import emit, fields, json_option, styled, table

if TYPE_CHECKING:
    from collabd.ctl.doctor.context import Context
    from collabd.ctl.tables import Table

_STYLES = {"ok": "green", "note": "", "warning": "yellow", "error": "bold red", "not-measured": "dim"}


@click.command(cls=Command)
@json_option
def doctor(as_json: bool) -> None:
    """Look for what is wrong on this machine, and say what to do about it.

    On a device, on a companion, or on both at once; with and without a running daemon, and without root, which some
    checks need: they say so. What only follows from another finding is left out. Exit status 1 if there is an error.
    """
    from collab_sdk import UnixTransport
    from collabd.ctl.doctor.context import gather
    from collabd.ctl.doctor.machine import ExaminedMachine

    context = gather(ExaminedMachine(), UnixTransport(chosen_socket()))
    tell(report((role.program for role in context.roles), examine(context)), as_json=as_json)


def tell(found: DoctorReport, *, as_json: bool) -> None:
    """Print the report; exit status 1 if there is an error in it."""
    emit(found, _render, as_json=as_json)
    if any(finding["severity"] == "error" for finding in found["findings"]):
        click.get_current_context().exit(1)


def examine(context: Context) -> list[Finding]:
    """Run all checks, in this order; findings that only follow from another finding are left out."""
    return relevant(finding for check in _checks() for finding in check(context))


def _checks() -> tuple[Callable[[Context], Iterator[Finding]], ...]:
    from collabd.ctl.doctor import (
        clock,
        companions,
        configuration,
        doors,
        hardware,
        keys,
        names,
        packages,
        runtime,
        service,
        socket,
    )

    return (
        runtime.check_machine,
        runtime.check_python,
        runtime.check_runtime,
        configuration.check_configuration,
        keys.check_keys,
        names.check_names,
        service.check_services,
        socket.check_socket,
        socket.check_daemon,
        doors.check_doors,
        companions.check_listening,
        companions.check_companions,
        packages.check_packages,
        clock.check_clock,
        hardware.check_power,
        hardware.check_memory,
        hardware.check_disk,
    )


def _render(found: DoctorReport) -> Iterator[Table]:
    built = table("finding", "about", "", long_last=True)
    for finding in found["findings"]:
        said = finding["title"] + (f"\n→ {finding['advice']}" if finding["advice"] else "")
        built.add_row(styled(finding["severity"], _STYLES[finding["severity"]]), finding["code"], said)
    yield built
    counts = Counter(finding["severity"] for finding in found["findings"])
    yield fields({"in all": ", ".join(f"{count} {severity}" for severity, count in counts.items())})
