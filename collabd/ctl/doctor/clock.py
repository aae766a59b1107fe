"""Whether something keeps this machine's clock right: the validity of certificates depends on the clock."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.ctl.doctor.context import Context
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import ExaminedMachine

_SYNCHRONISED = "/run/systemd/timesync/synchronized"


def check_clock(context: Context) -> Iterator[Finding]:
    """Ask systemd, which knows whether the clock is set, whichever program sets it."""
    yield of_clock(context.machine)


def of_clock(machine: ExaminedMachine) -> Finding:
    """The finding for systemd's answer."""
    if machine.path(_SYNCHRONISED).exists():
        return Finding("clock", "ok", "the clock is set by the network")
    answer = machine.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    said = answer.out.strip() if answer is not None and answer.status == 0 else ""
    if said == "yes":
        return Finding("clock", "ok", "the clock is set by the network")
    if said == "no":
        return Finding(
            "clock",
            "note",
            "nothing sets the clock, and certificates are valid only by it",
            advice="sudo timedatectl set-ntp true",
        )
    return Finding("clock", "not-measured", "timedatectl does not answer, so nothing says whether the clock is right")
