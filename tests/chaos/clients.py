"""The clients: one process each. They call through the public SDK and time the calls with their own clock."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from collab_sdk import Client, CollabError, Result
from tests.chaos.orders import Order


@dataclass(frozen=True)
class Answer:
    """The parts of a result that the run judges and counts."""

    scores: npt.NDArray[np.float32]
    cut: str
    codec: str
    # In which the layers really ran.
    precision: str
    placement: str
    ran: str
    degraded: bool
    why: str
    budget_met: bool
    # The little network that answered; None: the one that was asked did.
    answered_by: str | None = None
    # In which precision the plan asks it.
    little_precision: str | None = None

    @classmethod
    def of(cls, result: Result) -> Answer:
        """That of a result."""
        plan = result.plan
        return cls(
            result.scores,
            plan.cut,
            plan.codec,
            result.computed_in or plan.precision,
            plan.placement,
            result.ran,
            result.degraded,
            result.why,
            result.budget_met,
            result.answered_by,
            plan.little_precision,
        )


@dataclass(frozen=True)
class Outcome:
    """How a call ended: seconds on the monotonic clock, which all processes share, and an answer or an error."""

    order: Order
    began_s: float
    ended_s: float
    answer: Answer | None
    error: str = ""

    @property
    def latency_ms(self) -> float:
        """By the client's clock."""
        return (self.ended_s - self.began_s) * 1e3


@cache
def pixels_of(file: bytes) -> npt.NDArray[np.uint8]:
    """An image file as a camera would have given it."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def work(socket: Path, images: Mapping[str, bytes], orders: Sequence[Order]) -> list[Outcome]:
    """Make the calls one after the other."""
    with Client(socket) as client:
        return [_call(client, _image(images[order.image], order), order) for order in orders]


def _image(file: bytes, order: Order) -> bytes | npt.NDArray[np.uint8]:
    return file if order.form == "file" else pixels_of(file)


def _call(client: Client, image: bytes | npt.NDArray[np.uint8], order: Order) -> Outcome:
    time.sleep(order.pause_s)
    began = time.monotonic()
    try:
        result = client.infer(
            image,
            order.budget,
            model=order.model,
            cut=order.cut,
            codec=order.codec,
            precision=order.precision,
            fallback=order.fallback,
        )
    except CollabError as error:
        return Outcome(order, began, time.monotonic(), None, f"{type(error).__name__}: {error}")
    ended = time.monotonic()
    return Outcome(order, began, ended, Answer.of(result))
