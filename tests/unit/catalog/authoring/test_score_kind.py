"""What scores are is judged by their values, whatever operators made them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from collabd.catalog.authoring.score_kind import judge

Scores = np.ndarray


def softmax(logits: Scores) -> Scores:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def sigmoid(logits: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def in_steps(scores: Scores, step: float) -> Scores:
    """As 8 bits say it."""
    return np.asarray((scores / step).round() * step, np.float32)


def logits(labels: int, spread: float = 3.0) -> Scores:
    return np.asarray(np.random.default_rng(labels).normal(0, spread, (20, labels)), np.float32)


@pytest.mark.parametrize("labels", [2, 10, 1000])
@pytest.mark.parametrize(
    "written",
    [
        lambda scores: scores,
        lambda scores: scores.astype(np.float16).astype(np.float32),
        lambda scores: in_steps(scores, 1 / 255),
        lambda scores: in_steps(scores, 1 / 256).clip(0, 255 / 256),
        lambda scores: in_steps(scores, 1 / 127),
    ],
    ids=["float32", "float16", "uint8", "uint8 of 256", "int8"],
)
def test_probabilities_sum_to_one_as_far_as_the_arithmetic_goes(
    labels: int, written: Callable[[Scores], Scores]
) -> None:
    assert judge(written(softmax(logits(labels)))).kind == "probabilities"


@pytest.mark.parametrize("labels", [1, 2, 20])
@pytest.mark.parametrize("step", [None, 1 / 255])
def test_sigmoids_are_independent(labels: int, step: float | None) -> None:
    scores = sigmoid(logits(labels))
    assert judge(scores if step is None else in_steps(scores, step)).kind == "independent"


@pytest.mark.parametrize(
    "scores",
    [
        logits(1),
        logits(10),
        np.log(softmax(logits(10))),
        logits(10, spread=1e-4),  # of a network with tiny weights
        np.abs(logits(10)),  # behind a ReLU
        np.full((20, 3), np.nan, np.float32),
    ],
    ids=["one", "several", "logarithms", "tiny", "positive", "not a number"],
)
def test_all_else_are_logits(scores: Scores) -> None:
    assert judge(scores).kind == "logits"


def test_what_holds_for_all_images_but_one_does_not_hold() -> None:
    scores = softmax(logits(10))
    assert judge(np.concatenate([scores, scores[:1] * 1.5])).kind != "probabilities"
    assert judge(np.concatenate([sigmoid(logits(5)), logits(5)[:1]])).kind == "logits"


def test_images_that_make_nan_tell_nothing() -> None:
    nan = np.full((3, 10), np.nan, np.float32)
    assert judge(np.concatenate([nan, softmax(logits(10))])).kind == "probabilities"


def test_what_could_be_small_logits_is_said() -> None:
    """The safe side: nothing is made of them."""
    judged = judge(np.asarray(0.3 + 0.01 * logits(5), np.float32))
    assert judged.kind == "independent"
    assert "give --scores logits" in judged.why
    assert "--scores" not in judge(sigmoid(logits(20))).why


def test_one_score_that_never_changes_is_said_to_tell_nothing() -> None:
    """A softmax over one class."""
    judged = judge(np.ones((20, 1), np.float32))
    assert judged.kind == "independent"
    assert "tells no images apart" in judged.why
