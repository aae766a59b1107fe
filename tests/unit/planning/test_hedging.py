"""What plans are worth where the device works beside the companion."""

from __future__ import annotations

import numpy as np
import pytest

from collab_sdk.vocabulary import Objective
from collabd.planning import CallFacts, Candidate, Candidates, Caps, CloudState, DeviceState, Prediction, choose, hedged
from collabd.planning import predict as predict_plans

DEVICE = DeviceState(speed=1.0, spread=0.1, busy_w=5.0, idle_w=2.0, tx_w_per_mbps=0.3, tx_base_w=0.1)
PLANS = Candidates(
    [
        Candidate(cut="output", codec="none", cloud=None, head_s=0.100, local_tail_s=0.1),
        Candidate(cut="image", codec="u8", cloud=0, up_bytes=10_000, tail_s=0.01, local_tail_s=0.1),
        Candidate(cut="conv", codec="q8", cloud=0, head_s=0.060, up_bytes=1_000, tail_s=0.005, local_tail_s=0.04),
    ]
)
LOCAL, IMAGE, FEATURES = 0, 1, 2


def predict(transfer_s: float, spread: float, price: float = 0.1) -> Prediction:
    """The image takes so long on the link, the features a tenth of it."""
    cloud = CloudState(
        name="pc",
        up=True,
        rtt_s=0.0,
        up_s_per_byte=transfer_s / 10_000,
        down_s_per_byte=0.0,
        link_spread=spread,
        speed=1.0,
        speed_spread=0.0,
        queue_s=0.0,
    )
    return hedged(
        PLANS,
        predict_plans(PLANS, device=DEVICE, clouds=[cloud], call=CallFacts(0.0, (0.0,), None), quantile=0.95),
        clouds=[cloud],
        price=price,
    )


def values(prediction: Prediction) -> list[float]:
    assert prediction.hedged_s is not None
    return [float(value) for value in prediction.hedged_s]


@pytest.mark.parametrize("transfer_s", [0.01, 0.05, 0.5])
def test_of_a_sure_link_it_is_the_prediction_or_the_race(transfer_s: float) -> None:
    prediction = predict(transfer_s, 1e-6, price=0.0)
    for value, plain in zip(values(prediction), prediction.latency_s, strict=True):
        assert value == pytest.approx(min(plain, 0.1), rel=1e-4)


@pytest.mark.parametrize("transfer_s", np.linspace(0.05, 0.15, 21).tolist())
def test_where_the_link_is_steady_no_race_could_win(transfer_s: float) -> None:
    price = 0.1
    steady = 2 * price / (1 + price)
    assert predict(transfer_s, steady, price).hedged_s is None
    plain = predict(transfer_s, steady, price)
    race = 1.1 * np.array(values(predict(transfer_s, steady, price=0.0)))
    assert np.all(race >= np.minimum(plain.latency_s, plain.latency_s[LOCAL]))


def test_the_loss_of_trying_is_bounded_and_the_gain_is_not() -> None:
    # Median 105 ms against 100 ms here: as likely as not it is much sooner, and if not the device is there.
    prediction = predict(0.095, 1.0)
    image = values(prediction)[IMAGE]
    assert prediction.latency_s[IMAGE] > prediction.latency_s[LOCAL]
    assert image < 0.9 * 0.1
    assert choose(PLANS, prediction, Caps(), allowed=np.array([True, True, False])).row == IMAGE


def test_the_work_has_its_price() -> None:
    free, dear = (values(predict(0.100, 1.0, price))[IMAGE] for price in (0.0, 0.5))
    assert dear == pytest.approx(1.5 * free)
    # A link that is all but hopeless is not worth the work.
    assert values(predict(5.0, 1.0))[IMAGE] > 0.1


def test_it_is_near_the_expectation() -> None:
    """Against a sampled log-logistic distribution."""
    uniform = (np.arange(200_000) + 0.5) / 200_000
    takes = 0.01 + 0.1 * np.exp(np.log(uniform / (1 - uniform)) * 0.6 * np.sqrt(3) / np.pi)
    race = np.minimum(takes, 0.1).mean()
    assert values(predict(0.100, 0.6, 0.0))[IMAGE] == pytest.approx(race, rel=0.03)


def test_what_to_expect_is_the_race_without_its_price_or_the_median() -> None:
    raced = predict(0.095, 1.0)
    assert raced.expected_s[IMAGE] == pytest.approx(values(raced)[IMAGE] / 1.1)
    assert raced.expected_s[LOCAL] == raced.latency_s[LOCAL] == 0.1
    alone = predict(0.001, 1.0)
    assert alone.expected_s[IMAGE] == alone.latency_s[IMAGE]


def test_other_objectives_do_not_see_it() -> None:
    prediction = predict(0.100, 1.0)
    assert choose(PLANS, prediction, Caps(objective=Objective.ENERGY)).row == int(np.argmin(prediction.energy_j))
