"""Each kind of plan by name and mark, and why plans are rejected: what all pictures of plans have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collab_sdk.vocabulary import INHERIT, TAKEN, Cascade, Precision, Reason
from collabd.plots import style
from collabd.plots.style import Mark

if TYPE_CHECKING:
    from collab_sdk.reports import CandidateReport, CutReport, DecisionReport

_LETTERS = 22

ALONE, INT8_ALONE = "all on the device", "all on the device, in int8"
PIXELS, JPEG = "the image as it is", "the image as JPEG"
EXACT, LOSSY, INT8 = "split, without loss", "split, with a lossy codec", "partly or remotely in int8"
BF16 = "remotely in bf16"
SERIAL, RACED, INHERITED = "a little network first", "a little network beside", "the stream's last answer"
# Each has a marker of its own, so that the pictures can be read in grey.
KINDS = {
    ALONE: Mark("s", style.BLACK),
    INT8_ALONE: Mark("P", style.GREEN),
    PIXELS: Mark("^", style.RED),
    JPEG: Mark("v", style.ORANGE),
    EXACT: Mark("o", style.BLUE, hollow=True),
    LOSSY: Mark("o", style.BLUE),
    INT8: Mark("X", style.PURPLE),
    BF16: Mark("p", style.PURPLE, hollow=True),
    SERIAL: Mark("<", style.GREEN, hollow=True),
    RACED: Mark(">", style.GREEN, hollow=True),
    INHERITED: Mark("*", style.ORANGE),
}
# Why a plan was not taken. What fits comes first, then what breaks a cap, then what cannot be.
VERDICTS = {
    Reason.WORSE: Mark("o", style.SKY),
    Reason.NOT_WORTH_A_SWITCH: Mark("D", style.SKY, hollow=True),
    Reason.OVER_LATENCY: Mark(">", style.RED, hollow=True),
    Reason.OVER_ENERGY: Mark("^", style.RED, hollow=True),
    Reason.OVER_COST: Mark("P", style.RED, hollow=True),
    Reason.BELOW_FIDELITY: Mark("v", style.ORANGE, hollow=True),
    Reason.BUSY: Mark("+", style.LINE),
    Reason.IMPOSSIBLE: Mark("x", style.LINE),
    Reason.NOT_ALLOWED: Mark("s", style.LINE, hollow=True),
}
CHOSEN = Mark("*", style.BLACK)


def kind_of(plan: CutReport | CandidateReport | DecisionReport, codec: str, *, lossless: bool) -> str:
    """One of `KINDS`. `lossless`: the plan changes nothing in the answer."""
    if plan["cut"] == INHERIT:
        return INHERITED
    if plan["cascade"] is not None:
        return SERIAL if plan["cascade"] == Cascade.SERIAL else RACED
    if plan["cloud"] is None:
        return ALONE if plan["precision"] == Precision.FP32 else INT8_ALONE
    if plan["precision"] != Precision.FP32:
        return BF16 if Precision.BF16 in plan["precision"] else INT8
    if plan["cut"] == "image":
        return JPEG if codec.startswith("jpeg") else PIXELS
    return EXACT if lossless else LOSSY


def name_of(plan: CutReport | CandidateReport, codec: str) -> str:
    """A plan in a few words."""
    return f"{short(plan['cut'])} {how(plan, codec)}".rstrip()


def how(plan: CutReport | CandidateReport, codec: str) -> str:
    """What a plan does at its cut. What is usual is not said: fp32, no little network, and nothing is sent."""
    words = (
        "" if plan["cloud"] is None else codec,
        "" if plan["precision"] == Precision.FP32 else plan["precision"],
        plan["cascade"] or "",
    )
    return " ".join(word for word in words if word)


def short(cut: str) -> str:
    """The end of a long name: graphs that other programs export have paths for names."""
    return cut if len(cut) <= _LETTERS else f"…{cut[1 - _LETTERS :]}"


def fits(verdict: Reason | str) -> bool:
    """Whether nothing speaks against a plan but a better one."""
    return verdict in {*TAKEN, Reason.WORSE, Reason.NOT_WORTH_A_SWITCH}
