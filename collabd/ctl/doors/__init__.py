"""`collabctl doors`: the doors for programs that know another protocol, and the keys of these programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collab_sdk.vocabulary import DoorKind
from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.doors.key import key
from collabd.ctl.output import emit, fields, json_option, table

if TYPE_CHECKING:
    from collab_sdk.reports import DoorReport, DoorsReport
    from collabd.ctl.tables import Table

# In place of the model and the budget: nobody calls through a dashboard.
_SHOWS = ("-", "-")


@click.group()
def doors() -> None:
    """Look at the doors for other programs, and make keys for these programs.

    [[doors]] in the configuration of collabd opens them.
    """


@doors.command("list", cls=Command)
@json_option
def list_doors(as_json: bool) -> None:
    """List the doors, and what has come through each since the daemon started."""
    from collab_sdk.reports import DoorsReport

    with client() as daemon:
        emit(DoorsReport(doors=daemon.doors()), _render, as_json=as_json)


doors.add_command(key)


def _render(report: DoorsReport) -> Iterator[Table]:
    if not report["doors"]:
        none = "none is open: [[doors]] in the configuration opens one (man collabd.toml)"
        yield fields({"doors": f"{none}, and collabctl status says why one could not be opened"})
        return
    built = table("door", "address", ">calls", ">failed", "last", "model", "budget", "keys", spare=("budget", "keys"))
    for door in report["doors"]:
        built.add_row(
            door["kind"],
            door["address"],
            str(door["calls"]),
            str(door["failed"]),
            _ago(door["last_s"]),
            *(_SHOWS if door["kind"] == DoorKind.DASHBOARD else (door["model"] or "default", door["budget"] or "none")),
            _keys(door),
        )
    yield built


def _ago(last_s: float | None) -> str:
    return "never" if last_s is None else f"{figures.duration(last_s)} ago"


def _keys(door: DoorReport) -> str:
    wanted = [name for name, is_wanted in (("token", door["keys"]), ("TLS", door["tls"])) if is_wanted]
    return ", ".join(wanted) or "none"
