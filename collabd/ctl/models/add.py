"""`collabctl models add`: install a package, building it first where need be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collab_sdk.vocabulary import ScoreKind
from collabd.ctl.command import Command, client
from collabd.ctl.figures import share, short_digest

if TYPE_CHECKING:
    from collabd.catalog.package.manifest import Manifest

# So long because a Pi writes the package to a slow card and then warms the model up.
_LOAD_TIMEOUT_S = 600


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
@click.option("--mean", type=float, nargs=3, metavar="R G B", help="Mean of the pixels in 0..1 (default: ImageNet's).")
@click.option(
    "--std",
    type=float,
    nargs=3,
    metavar="R G B",
    help="Standard deviation of the pixels in 0..1 (default: ImageNet's).",
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

    SPEC is a package directory, or something to build a package from: torchvision:NAME, PATH.onnx, or
    PACKAGE.MODULE:FACTORY, a function without arguments that returns a torch.nn.Module. All but ONNX files need PyTorch
    to be built (pip install 'collabd[author]'), not to be run: build on any machine, add the directory on the Pi.
    """
    given = {name: value for name, value in stated.items() if value}
    if Path(source).is_dir():
        if given or out or no_load:
            raise click.UsageError(f"{source} is a built package: no other option applies to it")
        _load(Path(source))
        return
    if no_load and not out:
        raise click.UsageError("--no-load keeps nothing without --out")
    if not no_load:
        _require_daemon()
    with _destination(out) as directory:
        _build(source, given, directory)
        if not no_load:
            _load(directory)


def _require_daemon() -> None:
    """Refuse now what would fail after minutes of building."""
    with client() as daemon:
        daemon.models()


@contextmanager
def _destination(out: Path | None) -> Iterator[Path]:
    """The directory to build in. An old package there is replaced; anything else there is an error."""
    if out is not None:
        if out.is_dir() and any(out.iterdir()) and not (out / "package.json").is_file():
            raise click.BadParameter(f"{out} exists and is not a package, so it is not replaced", param_hint="--out")
        yield out
        return

    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as scratch:
        # The daemon, which reads the folder, may run as another user.
        Path(scratch).chmod(0o755)
        yield Path(scratch, "package")


def _build(source: str, given: dict[str, Any], directory: Path) -> None:
    from collabd.ctl.models.building import build_package

    manifest = build_package(source, directory, tell=_tell, **given).manifest
    _tell(f"built {manifest.name}: {len(manifest.layers)} layers, {len(manifest.cuts)} cuts, {_promise(manifest)}")


def _promise(manifest: Manifest) -> str:
    lossy = [codec.agreement for cut in manifest.cuts for codec in cut.codecs if codec.agreement is not None]
    if not lossy:
        return "lossless codecs only (give --calibration to allow lossy ones)"
    best = max(lossy, key=lambda agreement: agreement.fidelity)
    return (
        f"lossy codecs calibrated on {best.images} images, of which the network is sure of {best.sure_images}, with a "
        f"fidelity of at most {share(best.fidelity)}"
    )


def _load(directory: Path) -> None:
    with client(_LOAD_TIMEOUT_S) as daemon:
        model = daemon.load_model(directory)
    click.echo(
        f"added {model['name']} ({short_digest(model['digest'])}): {model['layers']} layers, {model['cuts']} cuts"
    )


def _tell(progress: str) -> None:
    click.echo(progress, err=True)
