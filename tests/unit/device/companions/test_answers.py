"""What an answer says of the others, and what a question says of its patience."""

from __future__ import annotations

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.vocabulary import Precision
from collabd.device.companions.answers import Health, Question, RemoteAnswer


def answer(*, queue_s: float, compute_s: float, batch: int) -> RemoteAnswer:
    return RemoteAnswer(
        outputs={},
        precision=Precision.FP32,
        link_s=0.02,
        queue_s=queue_s,
        decode_s=0.001,
        compute_s=compute_s,
        bytes_up=1,
        bytes_down=1,
        batch=batch,
        health=Health(None, 1.0),
    )


def test_the_rows_of_others_in_the_same_run_count_as_waiting() -> None:
    assert answer(queue_s=0.01, compute_s=0.08, batch=1).others_s == pytest.approx(0.01)
    assert answer(queue_s=0.01, compute_s=0.08, batch=8).others_s == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("patience_s", "said"), [(None, None), (0.0, "0"), (0.0004, "0"), (0.009, "8"), (0.064, "64"), (0.1, "64")]
)
def test_patience_travels_as_a_header_of_few_different_values(patience_s: float | None, said: str | None) -> None:
    question = Question(
        model="m",
        digest="d",
        inputs=[wire.Tensor.from_array("x", np.zeros(1, np.float32))],
        outputs=["y"],
        bytes_down=4,
        read=lambda _: {},
        patience_s=patience_s,
    )
    headers = question.message().headers
    assert headers.get(wire.PATIENCE_MS) == said
    assert wire.patience_s(headers) == (None if said is None else float(said) / 1e3)
