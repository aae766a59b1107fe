"""The configuration files of the installed daemons."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.ctl.doctor.context import Context, Settings
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import AS_ROOT


def check_configuration(context: Context) -> Iterator[Finding]:
    """Every mistake of every file."""
    for settings in context.settings:
        yield from of_settings(settings)


def of_settings(settings: Settings) -> Iterator[Finding]:
    """The finding for one file."""
    path, program = settings.path, settings.role.program
    if settings.forbidden:
        yield Finding("configuration", "not-measured", f"this user may not read {path}", advice=AS_ROOT)
    elif settings.problems:
        advice = f"Correct it, then reload: sudo systemctl reload-or-restart {program}"
        yield from (Finding("configuration", "error", f"{path}: {each}", advice=advice) for each in settings.problems)
    elif not path.exists():
        yield Finding("configuration", "ok", f"{program} has no file {path}: all settings have their defaults")
    else:
        yield Finding("configuration", "ok", f"{path} has no mistakes")
