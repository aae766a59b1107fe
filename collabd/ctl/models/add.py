"""`collabctl models add`: install a package, building it first where need be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collab_sdk.vocabulary import ScoreKind
from collabd.ctl.command import Command
from collabd.ctl.figures import share
from collabd.ctl.models.loading import destination, load_package, require_daemon, tell
from collabd.ctl.progress import tracked

if TYPE_CHECKING:
    from collabd.catalog.package.manifest import Manifest


def _size(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """HEIGHTxWIDTH, or one number for a square."""
    if text is None:
        return None
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise click.BadParameter(f"{text!r} is not a size such as 224x224")
    return int(sides[0]), int(sides[-1])


@click.command(cls=Command)
@click.argument("source", metavar="SPEC")
@click.option("--name", help="The model's name in collabd (default: the name in the source).")
@click.option(
    "--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with one label on each line."
)
@click.option(
    "--calibration",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of typical images (100 or more), to measure how far to trust the lossy codecs. Only those count of "
    "which the network is sure.",
)
@click.option(
    "--int8",
    is_flag=True,
    help="Build a second graph that computes with 8-bit integers where that changes few answers (with --calibration).",
)
@click.option(
    "--size",
    metavar="HxW",
    callback=_size,
    help="Height and width of the network's input, if the file leaves them open.",
)
@click.option("--output", metavar="NAME", help="For ONNX files with several outputs: the output that holds the scores.")
@click.option(
    "--resize-shorter",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Resize the image's shorter side to this, then crop.",
)
@click.option(
    "--decoder",
    metavar="NAME",
    help="The family of a detector, whose decoder is put into the graph (default: recognised by its outputs): yolox, "
    "nanodet-plus, nanodet, yolov5, yolov8, yolo-end2end, yolo-nas, rt-detr, rf-detr, detr or ssd.",
)
@click.option(
    "--rule",
    type=click.Choice(["stretch", "letterbox", "letterbox_top_left"]),
    help="How the image becomes as large as the network's input (default: a detector's own rule, else stretch).",
)
@click.option(
    "--channels",
    type=click.Choice(["rgb", "bgr"]),
    help="The order of the channels that the network takes (default: a detector's own order, else rgb).",
)
@click.option("--score-threshold", type=click.FloatRange(0, 1), help="Leave out what is found with a lower score.")
@click.option(
    "--iou-threshold",
    type=click.FloatRange(0, 1),
    help="Of two boxes of a class that overlap more than this, leave out that of the lower score.",
)
@click.option(
    "--mean",
    type=float,
    nargs=3,
    metavar="R G B",
    help="Mean of the pixels in 0..1 (default: a detector's own, else ImageNet's).",
)
@click.option(
    "--std",
    type=float,
    nargs=3,
    metavar="R G B",
    help="Standard deviation of the pixels in 0..1 (default: a detector's own, else ImageNet's).",
)
@click.option(
    "--scores",
    type=click.Choice([kind.value for kind in ScoreKind]),
    help="The kind of scores (default: judged by their values): unbounded scores, probabilities of labels of which "
    "one is right, or a probability for each label by itself, as sigmoids give.",
)
@click.option("--licence", help="The licence of the network.")
@click.option("--random-weights", is_flag=True, help="For torchvision: do not download trained weights.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Keep the built package as this directory."
)
@click.option("--no-load", is_flag=True, help="Only build the package (with --out).")
def add(source: str, out: Path | None, no_load: bool, **stated: Any) -> None:
    """Build and load the model SPEC.

    SPEC is a package directory, or something to build a package from: torchvision:NAME, PATH.onnx, PATH.pt2 (as
    torch.export.save writes it), or PACKAGE.MODULE:FACTORY, a function without arguments that returns a
    torch.nn.Module, or a pair of one and its inputs for one item. All but ONNX files need PyTorch to be built (pip
    install 'collabd[author]'), not to be run: build on any machine, add the directory on the Pi.
    """
    given = {name: value for name, value in stated.items() if value is not None and value is not False}
    if Path(source).is_dir():
        if given or out or no_load:
            raise click.UsageError(f"{source} is a built package: no other option applies to it")
        load_package(Path(source))
        return
    if no_load and not out:
        raise click.UsageError("--no-load keeps nothing without --out")
    if not no_load:
        require_daemon()
    with destination(out) as directory:
        _build(source, given, directory)
        if not no_load:
            load_package(directory)


def _build(source: str, given: dict[str, Any], directory: Path) -> None:
    from collabd.ctl.models.building import build_package

    manifest = build_package(source, directory, tell=tell, track=tracked, **given).manifest
    tell(f"built {manifest.name}: {len(manifest.layers)} layers, {len(manifest.cuts)} cuts, {promise(manifest)}")


def promise(manifest: Manifest) -> str:
    """What a package promises of lossy codecs, in words."""
    codecs = (codec for cut in manifest.cuts for codec in cut.codecs)
    lossy = [codec for codec in codecs if codec.fidelity < 1 and codec.in_fp32]
    if not lossy:
        return "lossless codecs only" + (" (give --calibration to allow lossy ones)" if manifest.picture else "")
    best = max(lossy, key=lambda codec: codec.fidelity)
    if best.agreement is not None and not best.agreement.images:
        return "lossless codecs at first (give --calibration to allow lossy ones before devices have learned of them)"
    told = f"with a fidelity of at most {share(best.fidelity)}"
    if best.mean_iou is not None:
        told += f" (mIoU {share(best.mean_iou)})"
    if best.agreement is None:
        return f"lossy codecs {told}"
    finds = "is sure of" if manifest.output_kind else "finds something in"
    images, sure = best.agreement.images, best.agreement.sure_images
    return f"lossy codecs calibrated on {images} images, of which the network {finds} {sure}, {told}"
