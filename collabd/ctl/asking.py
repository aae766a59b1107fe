"""Asks about images and shows how each answer came about: what `collabctl infer` and `collabctl run` share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import click

from collab_sdk.vocabulary import Fallback, OnInfeasible
from collabd.ctl.answer import answer_report, render_answer
from collabd.ctl.command import Failure, chosen_socket, given_transport
from collabd.ctl.output import emit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from collab_sdk import Result
    from collab_sdk.client import InferOptions
    from collab_sdk.image import Image, Tensors

# What a picture is drawn as, by the end of its name.
_DRAWN_AS = (".png", ".jpg", ".jpeg", ".webp")
_ARRAYS = (".npz", ".npy")


def _ends_in(*suffixes: str) -> Any:
    """A callback of click: refuses a file whose name ends otherwise, or whose directory is not there."""

    def check(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
        if path is not None and path.suffix.lower() not in suffixes:
            raise click.BadParameter(f"{str(path)!r} does not end in {' or '.join(suffixes)}")
        if path is not None and not path.parent.is_dir():
            raise click.BadParameter(f"there is no directory {str(path.parent)!r} to write {path.name!r} to")
        return path

    return check


_OPTIONS = (
    click.option(
        "--budget", metavar="TEXT", default="", help="Caps and an objective, such as '80ms,150mJ,99%,min-energy'."
    ),
    click.option(
        "--cut",
        metavar="NAME",
        help="Cut behind this layer, or at 'image' (all on the companion) or 'output' (all on the device).",
    ),
    click.option(
        "--placement", metavar="LETTERS", help="One letter for each layer: D on the device, C on the companion."
    ),
    click.option(
        "--codec",
        metavar="NAME",
        help="The codec: u8, jpeg (quality 90; also jpeg75, jpeg95, jpeg90-444, ...) or source for an image; f32, f16, "
        "q8 or q4 for features.",
    ),
    click.option(
        "--precision",
        metavar="NAME",
        help="How the layers compute: fp32, int8, bf16 on a companion, or head and tail apart, as in int8/fp32.",
    ),
    click.option("--pin-first", type=click.IntRange(min=0), metavar="N", help="Run the first N layers on the device."),
    click.option("--pin-last", type=click.IntRange(min=0), metavar="N", help="Run the last N layers on the device."),
    click.option(
        "--fallback",
        type=click.Choice([each.value for each in Fallback]),
        help="If the companion fails: finish on the device, or fail. never-leave sends nothing in the first place.",
    ),
    click.option(
        "--on-infeasible",
        type=click.Choice([each.value for each in OnInfeasible]),
        help="If no plan fits the budget: run the nearest plan, or fail before anything runs.",
    ),
    click.option(
        "--top",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="K",
        help="How many labels of a classifier to show.",
    ),
    click.option(
        "--draw",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=_ends_in(*_DRAWN_AS),
        metavar="FILE",
        help="Draw the answer over the image: boxes and names, the classes of a mask, or the label. FILE is .png, .jpg "
        "or .webp.",
    ),
    click.option(
        "--save",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=_ends_in(".npz"),
        metavar="FILE.npz",
        help="Save the arrays of the answer for numpy.load: scores; xyxy, confidence and class_id; mask; or the "
        "outputs.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each image."),
)


def asking_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that asks, but for --model."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def ask(
    images: Sequence[str],
    *,
    budget: str,
    top: int,
    draw: Path | None,
    save: Path | None,
    as_json: bool,
    **options: Unpack[InferOptions],
) -> None:
    """Ask about images, one after the other, and print each answer. One that is none keeps no other from its answer."""
    from collab_sdk import Budget, Client, InvalidImage, InvalidTensor, RequestTooLarge

    if len(images) > 1 and (draw or save):
        raise click.UsageError("--draw and --save take one IMAGE")
    wanted = Budget.parse(budget)
    answered = 0
    with Client(chosen_socket(), transport=given_transport()) as daemon:
        for image in images:
            try:
                result = daemon.infer(_read(image), wanted, **options)
            except (InvalidImage, InvalidTensor, RequestTooLarge) as error:
                Failure(str(error) if image in str(error) else f"{image}: {error}").show()
                continue
            if answered and not as_json:
                click.echo()
            answered += 1
            emit(answer_report(image, result, top), render_answer, as_json=as_json, lines=True)
            if draw:
                _draw(result, image, draw)
            if save:
                _save(result, save)
    if answered < len(images):
        click.get_current_context().exit(1)


def _read(path: str) -> Image | Tensors:
    """The image, which the SDK reads, or the arrays in a file of them. Raises `InvalidTensor`."""
    if not path.lower().endswith(_ARRAYS):
        return path
    import numpy as np

    from collab_sdk import InvalidTensor

    try:
        with Path(path).open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            return dict(arrays if isinstance(arrays, np.lib.npyio.NpzFile) else {Path(path).stem: arrays})
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise InvalidTensor(f"cannot read the arrays of {path!r}: {error}") from error


def _draw(result: Result, image: str, path: Path) -> None:
    """Write the picture of the answer. Raises `Failure`."""
    import warnings

    from PIL.Image import DecompressionBombWarning

    from collab_sdk import WrongTask

    # The daemon has taken the picture, however large it is.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    try:
        drawn = result.draw(image)
    except WrongTask as error:
        raise Failure(
            f"{result.model} answers with tensors, which --draw cannot show: --save FILE.npz keeps them"
        ) from error
    with _written(path, " (PNG has room for more pixels than JPEG and WebP)" if path.suffix.lower() != ".png" else ""):
        drawn.save(path)


@contextmanager
def _written(path: Path, hint: str = "") -> Iterator[None]:
    """Surrounds the writing of a file. A new one that could not be written whole is removed. Raises `Failure`."""
    is_new = not path.exists()
    try:
        yield
    except (OSError, ValueError) as error:
        if is_new:
            path.unlink(missing_ok=True)
        raise Failure(f"cannot write {str(path)!r}: {getattr(error, 'strerror', None) or error}{hint}") from error


def _save(result: Result, path: Path) -> None:
    """Write what `numpy.load` reads. An output may have a name that `numpy.savez` cannot take. Raises `Failure`."""
    import numpy as np

    with _written(path), ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in _arrays(result).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _arrays(result: Result) -> Mapping[str, NDArray[Any]]:
    from collab_sdk import Classification, Detections, Segmentation

    match result.answer:
        case Classification(scores=scores):
            return {"scores": scores}
        case Detections() as found:
            return {"xyxy": found.xyxy, "confidence": found.confidence, "class_id": found.class_id}
        case Segmentation(mask=mask):
            return {"mask": mask}
        case outputs:
            return outputs
