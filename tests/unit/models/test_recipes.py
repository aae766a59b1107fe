from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.networks import CIFAR10_NETWORKS
from models.recipes import RECIPES, Phase, learning_rate, stretched

PHASE = Phase(epochs=10, peak=0.5, rising=0.2)


def test_every_network_has_a_recipe() -> None:
    assert set(RECIPES) == set(CIFAR10_NETWORKS)


@pytest.mark.parametrize(("done", "rate"), [(0, 0.02), (0.1, 0.26), (0.2, 0.5), (0.6, 0.25), (0.8, 0.125), (1, 0)])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(done: float, rate: float) -> None:
    assert learning_rate(PHASE, done) == pytest.approx(rate)


def test_a_longer_training_keeps_the_proportions() -> None:
    assert [phase.epochs for phase in stretched(RECIPES["vgg16_cifar10"], 210)] == [120, 90]
    assert [phase.epochs for phase in stretched(RECIPES["vgg16_cifar10"], 21)] == [12, 9]
    assert stretched(RECIPES["vgg16_cifar10"], 21) == RECIPES["vgg16_cifar10"]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 400))
def test_stretching_loses_no_epoch(lengths: list[int], epochs: int) -> None:
    phases = stretched([Phase(epochs=length, peak=0.1, rising=0.1) for length in lengths], epochs)
    assert sum(phase.epochs for phase in phases) == epochs
    assert all(phase.epochs >= 0 for phase in phases)
