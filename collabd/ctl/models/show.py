"""`collabctl models show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, table

if TYPE_CHECKING:
    from collab_sdk.reports import LayersReport
    from collabd.ctl.tables import Table


@click.command(cls=Command)
@click.argument("model")
@json_option
def show(model: str, as_json: bool) -> None:
    """Show the layers of MODEL, and the codecs of its candidate cuts.

    There is one layer for each letter of a placement, and behind each a cut of the same name. MMACs are millions of
    multiply-accumulate operations. The planner considers the candidate cuts; any other can be asked for.

    The second table says what each codec makes of the images that the package was calibrated on. Fidelity is how often
    the answer is to equal the unsplit network's, for images of which that is sure: it gives its first label 50 % or
    more. "Sure" and "all" count the images that agreed, of those images and of all. Few images promise little: 100 of
    100 are 99.5 %.
    """
    with client() as daemon:
        emit(daemon.layers(model), _render, as_json=as_json)


def _render(report: LayersReport) -> Iterator[Table]:
    layers = report["layers"]
    total = figures.number(sum(layer["macs"] for layer in layers) / 1e6)
    yield fields(
        {
            "model": f"{report['model']} ({figures.short_digest(report['digest'])})",
            "layers": f"{len(layers)}, {total} MMACs",
        }
    )
    built = table(">layer", "op", ">MMACs", "candidate cut", "name", long_last=True)
    for index, layer in enumerate(layers, start=1):
        macs = figures.number(layer["macs"] / 1e6)
        built.add_row(str(index), layer["op"], macs, figures.yes_no(layer["candidate"]), layer["name"])
    yield built
    codecs = table("cut", "codec", ">bytes", ">fidelity", ">sure", ">all")
    for codec in report["codecs"]:
        codecs.add_row(
            codec["cut"],
            codec["codec"],
            figures.size(codec["bytes"]),
            figures.share(codec["fidelity"]),
            figures.part(codec["sure_agreed"], codec["sure_images"]),
            figures.part(codec["agreed"], codec["images"]),
        )
    yield codecs
