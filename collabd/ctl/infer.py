"""`collabctl infer`: classify images, and show how each answer came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from collab_sdk.vocabulary import Fallback, OnInfeasible
from collabd.ctl.answer import answer_report, render_answer
from collabd.ctl.command import Command, Failure, chosen_socket, given_transport
from collabd.ctl.output import emit
from collabd.ctl.verdicts import REASONS, glossary

if TYPE_CHECKING:
    from collab_sdk.client import InferOptions


@click.command(cls=Command, epilog=glossary("Why a plan was chosen:", REASONS))
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGE...")
@click.option(
    "--budget", metavar="TEXT", default="", help="Caps and an objective, such as '80ms,150mJ,99%,min-energy'."
)
@click.option("--model", metavar="NAME", help="The model to ask (default: the daemon's).")
@click.option(
    "--cut",
    metavar="NAME",
    help="Cut behind this layer, or at 'image' (all on the companion) or 'output' (all on the device).",
)
@click.option("--placement", metavar="LETTERS", help="One letter for each layer: D on the device, C on the companion.")
@click.option(
    "--codec",
    metavar="NAME",
    help="The codec: u8, jpeg (quality 90; also jpeg75, jpeg95, jpeg90-444, ...) or source for an image; f32, f16, q8 "
    "or q4 for features.",
)
@click.option("--pin-first", type=click.IntRange(min=0), metavar="N", help="Run the first N layers on the device.")
@click.option("--pin-last", type=click.IntRange(min=0), metavar="N", help="Run the last N layers on the device.")
@click.option(
    "--fallback",
    type=click.Choice([each.value for each in Fallback]),
    help="If the companion fails: finish on the device, or fail. never-leave sends nothing in the first place.",
)
@click.option(
    "--on-infeasible",
    type=click.Choice([each.value for each in OnInfeasible]),
    help="If no plan fits the budget: run the nearest plan, or fail before anything runs.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=1, show_default=True, metavar="K", help="How many labels to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each image.")
def infer(images: tuple[str, ...], *, budget: str, top: int, as_json: bool, **options: Unpack[InferOptions]) -> None:
    """Classify images within a budget.

    Each IMAGE is a JPEG, PNG, WebP, AVIF, BMP, GIF or PPM file. One that is not does not keep the others from being
    answered.
    """
    from collab_sdk import Budget, Client, InvalidImage, RequestTooLarge

    wanted = Budget.parse(budget)
    answered = 0
    with Client(chosen_socket(), transport=given_transport()) as daemon:
        for image in images:
            try:
                result = daemon.infer(image, wanted, **options)
            except (InvalidImage, RequestTooLarge) as error:
                Failure(str(error) if image in str(error) else f"{image}: {error}").show()
                continue
            if answered and not as_json:
                click.echo()
            answered += 1
            emit(answer_report(image, result, top), render_answer, as_json=as_json, lines=True)
    if answered < len(images):
        click.get_current_context().exit(1)
