"""`collabctl config`: the settings in effect and the origin of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, styled, table

if TYPE_CHECKING:
    from collab_sdk.reports import ConfigReport
    from collabd.ctl.tables import Table


@click.command(cls=Command)
@json_option
def config(as_json: bool) -> None:
    """Show the daemon's settings in effect, each with its origin."""
    with client() as daemon:
        emit(daemon.config(), _render, as_json=as_json)


def _render(report: ConfigReport) -> Iterator[Table]:
    yield fields({"file": report["file"] or "no file: all settings have their defaults"})
    built = table("setting", "from", "value", long_last=True)
    for key, setting in report["settings"].items():
        origin = "default" if setting["origin"] == "default" else styled("file", "bold")
        built.add_row(key, origin, _literal(setting["value"]))
    yield built


def _literal(value: Any) -> str:
    """The value as it is written in a configuration file."""
    return figures.UNKNOWN if value is None else json.dumps(value, ensure_ascii=False)
