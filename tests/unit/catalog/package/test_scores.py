"""Scores are read by their kind: as probabilities, and as classes."""

from __future__ import annotations

import numpy as np
import pytest

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.package.scores import as_classes, as_probabilities

Scores = np.ndarray


def softmax(logits: Scores) -> Scores:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def sigmoid(logits: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def logits(labels: int, spread: float = 3.0) -> Scores:
    return np.asarray(np.random.default_rng(labels).normal(0, spread, (20, labels)), np.float32)


@pytest.mark.parametrize("kind", [ScoreKind.PROBABILITIES, ScoreKind.INDEPENDENT])
def test_what_is_between_0_and_1_already_stays(kind: ScoreKind) -> None:
    scores = sigmoid(logits(5))[0]
    assert as_probabilities(scores, kind) is scores


def test_logits_become_probabilities() -> None:
    several, one = logits(10), logits(1)
    np.testing.assert_allclose(as_probabilities(several[0], ScoreKind.LOGITS), softmax(several)[0], rtol=1e-5)
    np.testing.assert_allclose(as_probabilities(one[0], ScoreKind.LOGITS), sigmoid(one)[0], rtol=1e-5)
    with np.errstate(over="raise"):
        assert as_probabilities(np.array([-1000], np.float32), ScoreKind.LOGITS) == [0]
        assert as_probabilities(np.array([1000], np.float32), ScoreKind.LOGITS) == [1]


def test_one_score_decides_whether_its_label_applies() -> None:
    assert as_classes(np.array([[-0.1], [0.1]], np.float32), ScoreKind.LOGITS).argmax(axis=1).tolist() == [0, 1]
    assert as_classes(np.array([[0.4], [0.6]], np.float32), ScoreKind.INDEPENDENT).argmax(axis=1).tolist() == [0, 1]
    several = logits(3)
    assert as_classes(several, ScoreKind.INDEPENDENT) is several
