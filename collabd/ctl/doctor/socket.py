"""The way to the device daemon: whether its socket is there, whether this user may use it, whether a daemon answers."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from collabd import __version__
from collabd.ctl.doctor.context import DEVICE, Context
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import ExaminedMachine

GROUP = "collab"
_START = "Start the service: sudo systemctl start collabd"


def check_socket(context: Context) -> Iterator[Finding]:
    """Whether the socket exists, who owns it, and whether this user may connect."""
    if DEVICE not in context.roles:
        return
    path = context.socket
    try:
        status = path.stat()
    except PermissionError:
        yield Finding(
            "socket", "error", f"{path}: this user may not look into {path.parent}", advice=f"chmod 755 {path.parent}"
        )
        return
    except OSError:
        yield Finding("socket", "error", f"{path}: there is no socket", advice=_START, unless=("service",))
        return
    if not stat.S_ISSOCK(status.st_mode):
        yield Finding(
            "socket", "error", f"{path} is not a socket", advice=f"Remove it, and start the service again: rm {path}"
        )
        return
    group, mode = _group(status.st_gid), stat.S_IMODE(status.st_mode)
    yield of_mode(path, mode, group)
    if not os.access(path, os.R_OK | os.W_OK):
        yield of_access(context.machine, path, group=group, gid=status.st_gid)


def of_mode(path: Path, mode: int, group: str) -> Finding:
    """The finding for the socket's owner and mode."""
    title = f"{path}: mode {mode:04o}, group {group}"
    if mode & stat.S_IWOTH:
        return Finding(
            "socket",
            "warning",
            f"{title}: every user may call",
            advice="Restart the socket's unit: sudo systemctl restart collabd.socket",
        )
    return Finding("socket", "ok", title)


def of_access(machine: ExaminedMachine, path: Path, *, group: str, gid: int) -> Finding:
    """Why the user of the machine may not connect."""
    user = machine.user
    title = f"{user.name} may not use {path}"
    if user.name not in _members(machine).get(group, ()):
        return Finding(
            "access",
            "error",
            f"{title}: this user is not in the group {group}",
            advice=f"Join the group: sudo usermod -aG {group} {user.name}; then log in again",
        )
    if gid not in user.groups:
        again = f"Log out and in again, or start a shell that has the group: newgrp {group}"
        return Finding("access", "error", f"{title}: this user joined the group {group} after this login", advice=again)
    return Finding(
        "access",
        "error",
        f"{title}: the socket is closed to its group",
        advice="Restart the socket's unit: sudo systemctl restart collabd.socket",
    )


def check_daemon(context: Context) -> Iterator[Finding]:
    """Whether a collabd answers at the socket, and whether its version is that of this program."""
    if DEVICE not in context.roles:
        return
    status, failure = context.heard.status, context.heard.failure
    if status is None:
        yield Finding(
            "daemon",
            "error",
            f"collabd does not answer: {failure}",
            advice=_START,
            unless=("socket", "access", "service"),
        )
    elif not status["ready"]:
        yield Finding("daemon", "note", "collabd is still loading its models", advice="Wait: collabctl wait")
    elif status["version"] != __version__:
        title = f"collabd {status['version']} answers, but this is collabctl {__version__}"
        yield Finding("daemon", "warning", title, advice="Restart the daemon: sudo systemctl restart collabd")
    else:
        yield Finding("daemon", "ok", f"collabd {status['version']} answers, with {len(status['models'])} models")


def _members(machine: ExaminedMachine) -> Mapping[str, list[str]]:
    lines = [line.split(":") for line in (machine.read("/etc/group") or "").splitlines()]
    return {parts[0]: parts[3].split(",") for parts in lines if len(parts) == 4}


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
