"""`collabctl models show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collab_sdk.vocabulary import Precision
from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.models.thresholds import thresholds_tables
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

    The second table says what each codec makes of the images that the package was calibrated on. Fidelity is how far
    the answer is promised to be the unsplit network's; what that means depends on the model's task and is said above.
    It counts images of which a classifier is sure (it gives its first label 50 % or more), or in which a detector or
    segmenter finds something. "Sure" and "all" count the images that agreed, of those images and of all. Few images
    promise little: 100 of 100 are 99.01 %. "mIoU", of segmenters, is the mean intersection over union of the classes.
    What this device has learned since then from pictures of its calls, 'collabctl profile' says.

    If the model has a little network, a table for each of its precisions follows: by its thresholds, which part of the
    images it answers, how many of them it answered as MODEL does, and the fidelity that both together promise.
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
            "fidelity": report["measure"],
        }
    )
    built = table(">layer", "op", ">MMACs", "candidate cut", "name", long_last=True)
    for index, layer in enumerate(layers, start=1):
        macs = figures.number(layer["macs"] / 1e6)
        built.add_row(str(index), layer["op"], macs, figures.yes_no(layer["candidate"]), layer["name"])
    yield built
    overlaps = any(codec["mean_iou"] is not None for codec in report["codecs"])
    mixed = any(codec["precision"] != Precision.FP32 for codec in report["codecs"])
    codecs = table(
        "cut", "codec", *["precision"] * mixed, ">bytes", ">fidelity", ">sure", ">all", *[">mIoU"] * overlaps
    )
    for codec in report["codecs"]:
        codecs.add_row(
            codec["cut"],
            codec["codec"],
            *[codec["precision"]] * mixed,
            figures.size(codec["bytes"]),
            figures.share(codec["fidelity"]),
            figures.part(codec["sure_agreed"], codec["sure_images"]),
            figures.part(codec["agreed"], codec["images"]),
            *[figures.share(codec["mean_iou"])] * overlaps,
        )
    yield codecs
    if (little := report["little"]) is not None:
        yield fields({"little": f"{little['model']}{f', off: {off}' if (off := little['off']) else ''}"})
        yield from thresholds_tables(little)
