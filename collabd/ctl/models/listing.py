"""`collabctl models list`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, table

if TYPE_CHECKING:
    from collab_sdk.reports import ModelReport, ModelsReport
    from collabd.ctl.tables import Table


@click.command("list", cls=Command)
@json_option
def list_models(as_json: bool) -> None:
    """List the models that collabd serves."""
    with client() as daemon:
        report: ModelsReport = {"models": daemon.models()}
    emit(report, _render, as_json=as_json)


def models_table(models: list[ModelReport]) -> Table:
    """One row for each model."""
    built = table("model", "task", "digest", ">layers", ">cuts", ">MB loaded", "profiled")
    for model in models:
        built.add_row(
            model["name"],
            model["task"],
            figures.short_digest(model["digest"]),
            str(model["layers"]),
            str(model["cuts"]),
            "-" if model["weights_mb"] is None else f"{model['weights_mb']:.1f}",
            figures.yes_no(model["profiled"]),
        )
    return built


def _render(report: ModelsReport) -> Iterator[Table]:
    if report["models"]:
        yield models_table(report["models"])
    else:
        from collabd.shipped_packages import how_to_add

        yield fields({"models": f"none; {how_to_add()}"})
