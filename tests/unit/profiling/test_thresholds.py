"""What a little network may answer, as counted over pictures, and whether other pictures keep it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from collab_sdk.vocabulary import Sureness
from collabd.profiling.evidence import Reference
from collabd.profiling.thresholds import best_score, thresholds

_CLASSES = 10


def population(
    count: int, seed: int, *, worst: float = 0.5
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], Reference]:
    """Sureness, the little network's classes, and the big one's. The surer, the more seldom the two differ."""
    rng = np.random.default_rng(seed)
    sureness, decided = rng.random(count), rng.integers(0, _CLASSES, count)
    differs = rng.random(count) < worst * (1 - sureness) ** 2
    other = (decided + rng.integers(1, _CLASSES, count)) % _CLASSES
    return sureness, np.where(differs, other, decided), Reference(decided=decided, sure=np.ones(count, np.bool_))


def test_the_ladder_falls_from_strict_to_wide() -> None:
    found = thresholds(*population(1000, 0))
    assert len(found) >= 4
    assert [each.least for each in found] == sorted((each.least for each in found), reverse=True)
    assert [each.share for each in found] == sorted(each.share for each in found)
    totals = [each.total(1.0) for each in found]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] >= 0.9


@pytest.mark.parametrize("least_fidelity", [0.99, 0.98])
def test_other_pictures_keep_the_promise(least_fidelity: float) -> None:
    short = []
    for seed in range(40):
        sureness, little, reference = population(5000, seed)
        counted = Reference(decided=reference.decided[:1000], sure=reference.sure[:1000])
        ladder = thresholds(sureness[:1000], little[:1000], counted)
        widest = max(
            (each for each in ladder if each.total(1.0) >= least_fidelity), key=lambda each: each.share, default=None
        )
        if widest is None:
            continue
        wrong = (sureness[1000:] >= widest.least) & (little[1000:] != reference.decided[1000:])
        short.append(least_fidelity - (1 - wrong.mean()))
    assert len(short) > 30
    # A promise at one deviation may be broken now and then, by a little.
    assert np.mean(np.array(short) > 0) <= 1 / 6
    assert max(short) < 0.004


def test_the_half_that_promises_less_is_told() -> None:
    sureness, little, reference = population(1000, 3)
    for each in thresholds(sureness, little, reference):
        answered = int((sureness >= each.least).sum())
        assert each.images < 0.6 * answered
        wrong = ((sureness >= each.least) & (little != reference.decided)).sum()
        assert (each.images - each.agreed) / each.images >= wrong / answered - 1 / each.images


def test_pictures_of_which_the_big_network_is_unsure_count_for_the_share_alone() -> None:
    sureness, little, reference = population(1000, 4)
    unsure = Reference(decided=reference.decided, sure=np.arange(1000) % 2 == 0)
    for each in thresholds(sureness, little, unsure):
        assert each.share == pytest.approx((sureness >= each.least).mean())
        assert each.sure_share == pytest.approx((sureness >= each.least)[unsure.sure].mean())
        assert each.images <= (sureness >= each.least)[unsure.sure].sum()


def test_the_score_that_answers_most_is_taken() -> None:
    sureness, little, reference = population(1000, 5)
    blind = np.random.default_rng(0).random(1000)
    score, found = best_score({Sureness.MAX: blind, Sureness.MARGIN: sureness}, little, reference)
    assert score is Sureness.MARGIN
    assert found == thresholds(sureness, little, reference)


def test_networks_that_hardly_agree_get_no_threshold() -> None:
    sureness, _, reference = population(1000, 6)
    guessed = (reference.decided + 1) % _CLASSES
    assert thresholds(sureness, guessed, reference) == ()
