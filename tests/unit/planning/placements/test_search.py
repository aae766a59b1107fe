"""The planned placement is the best of all that there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.vocabulary import Objective
from collabd.planning import CallFacts, Candidate, Candidates, Caps, CloudState, DeviceState, choose, predict
from collabd.planning.candidates import SOURCE
from collabd.planning.nearest import EQUALLY_LIKELY
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.planning.placements.placement import Placement
from collabd.planning.placements.search import place
from collabd.planning.placements.trellis import NO_PINS, Pins
from tests.unit.planning.brute_force import Floats, Outcomes, Situation, outcomes

DEVICE = DeviceState(speed=2.0, spread=0.0, busy_w=5.0, idle_w=2.0, tx_w_per_mbps=0.3, tx_base_w=0.1)
CLOUD = CloudState(
    name="pc",
    up=True,
    rtt_s=0.010,
    up_s_per_byte=1e-6,
    down_s_per_byte=2e-6,
    link_spread=0.0,
    speed=1.5,
    speed_spread=0.0,
    queue_s=0.003,
    price_per_gb=2.0,
    price_per_second=0.5,
    price_per_request=0.001,
)
CALL = CallFacts(prep_s=0.005, cloud_prep_s=(0.001,), source_bytes=20_000)
NO_CAPS = Caps()
NEVER = CrossingOption(codec="slow", sent_bytes=1e9)


def transfers(rng: np.random.Generator, codecs: int, friction: float) -> tuple[CrossingOption, ...]:
    """Lossless first, then ever smaller and less faithful."""
    full = friction * 10 ** rng.uniform(3, 5)
    return tuple(
        CrossingOption(
            codec=f"q{number}",
            sent_bytes=full * rng.uniform(0.3, 0.6) ** number,
            device_s=friction * rng.uniform(0, 0.003),
            cloud_s=friction * rng.uniform(0, 0.001),
            fidelity=rng.uniform(0.93, 1) ** number,
        )
        for number in range(codecs)
    )


def chain_of(rng: np.random.Generator, segments: int, codecs: int, friction: float = 1.0) -> Chain:
    """The companion may well be slower at a segment than the device."""
    file = CrossingOption(codec=SOURCE, sent_bytes=300.0)
    ups = [transfers(rng, codecs, friction) for _ in range(segments)]
    return Chain(
        cloud=0,
        device_s=tuple(rng.uniform(0, 0.04, segments)),
        cloud_s=tuple(rng.uniform(0, 0.04, segments)),
        up=((file, *ups[0]), *ups[1:]),
        down=tuple(transfers(rng, codecs, friction) for _ in range(segments)),
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    segments = draw(st.integers(1, 8))
    codecs = draw(st.integers(1, 3 if segments <= 6 else 2))
    # Where crossing is cheap, the best placements have many.
    friction = draw(st.sampled_from([1.0, 0.03]))
    spread = draw(st.sampled_from([0.0, 0.3]))
    per_gb, per_second, per_request = draw(st.sampled_from([(0.0, 0.0, 0.0), (2.0, 0.5, 0.0), (0.0, 0.1, 0.001)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    device = DeviceState(
        speed=rng.uniform(0.5, 3),
        spread=spread * rng.random(),
        busy_w=rng.uniform(2, 8),
        idle_w=rng.uniform(1, 2),
        tx_w_per_mbps=0.3,
        tx_base_w=0.1,
    )
    rtt_s, queue_s = friction * rng.uniform(0, 0.02), friction * rng.uniform(0, 0.01)
    s_per_byte = 10 ** rng.uniform(-8, -6)
    cloud = CloudState(
        name="pc",
        up=True,
        rtt_s=rtt_s,
        up_s_per_byte=s_per_byte,
        down_s_per_byte=s_per_byte * rng.uniform(0.1, 1),
        link_spread=spread,
        speed=1.2,
        speed_spread=spread * rng.random(),
        queue_s=queue_s,
        price_per_gb=per_gb,
        price_per_second=per_second,
        price_per_request=per_request,
    )
    pins = draw(st.sampled_from([Pins(), Pins(1, 1), Pins(0, 2), Pins(segments, 0), Pins(never_leave=True)]))
    return Situation(
        chain=chain_of(rng, segments, codecs, friction),
        device=device,
        cloud=cloud,
        call=replace(
            CALL, source_bytes=draw(st.sampled_from([None, 20_000])), answer_s=draw(st.sampled_from([0.0, 0.004]))
        ),
        quantile=draw(st.sampled_from([0.5, 0.95])),
        pins=pins,
    )


def placed(situation: Situation, caps: Caps) -> Placement:
    return place(
        [situation.chain],
        device=situation.device,
        clouds=[situation.cloud],
        call=situation.call,
        caps=caps,
        quantile=situation.quantile,
        pins=situation.pins,
    )


VARYING = ("energy_j", "energy_deviation_j", "cost", "cost_deviation")
FIGURES = ("latency_s", "deviation_s", "deadline_s", *VARYING, "energy_most_j", "cost_most")
# What is as likely, or exceeds the caps as much, when it is summed in another order.
UNSURE = 1e-6
PHASES = ("prep_s", "head_s", "encode_s", "link_s", "queue_s", "decode_s", "tail_s", "answer_s")


def figure(placement: Placement, name: str) -> float:
    prediction = placement.prediction
    return float(getattr(prediction if name in FIGURES else prediction.phases, name)[0])


def cap_between(values: Floats, tightness: float | None) -> float | None:
    """None: no cap; 0: as little as there is; 1: no placement exceeds it; below 0: all do."""
    if tightness is None:
        return None
    cap = values.min() * (1 + min(tightness, 0)) + max(tightness, 0) * (values.max() - values.min())
    # Where only one is possible its figure is the cap, and summed in another order it may be a bit more.
    return float(cap) * (1 + 1e-12)


TIGHTNESS = st.sampled_from([None, None, -0.2, 0.05, 0.15, 0.4])


@given(
    situations(),
    st.tuples(TIGHTNESS, TIGHTNESS, TIGHTNESS),
    st.sampled_from([0.0, 0.9, 0.97, 1.0]),
    st.sampled_from([Objective.LATENCY, Objective.ENERGY, Objective.COST]),
)
def test_no_other_placement_is_better(
    situation: Situation,
    tightness: tuple[float | None, float | None, float | None],
    fidelity: float,
    objective: Objective,
) -> None:
    every = outcomes(situation)
    caps = Caps(
        latency_s=cap_between(every.deadline, tightness[0]),
        energy_j=cap_between(every.energy_most, tightness[1]),
        cost=cap_between(every.cost_most, tightness[2]),
        fidelity=fidelity,
        objective=objective,
    )
    got = placed(situation, caps)
    mine = Outcomes(*(np.array([value]) for value in (*(figure(got, name) for name in FIGURES), got.fidelity)))
    assert got.fidelity >= fidelity - 1e-12
    assert got.unmet == mine.broken(caps)
    if every.least(caps) < inf:
        assert mine.least(caps) == pytest.approx(every.least(caps), rel=1e-9)
    else:
        assert got.unmet
        assert_nearest(mine, every, caps)


def assert_nearest(mine: Outcomes, every: Outcomes, caps: Caps) -> None:
    """No other keeps the caps more likely where one does at all; and of those as likely none exceeds them less."""
    chance, excess = mine.chance(caps).item(), mine.excess(caps).item()
    chances, excesses = np.where(every.excess(caps) < inf, every.chance(caps), 0.0), every.excess(caps)
    if chances.max() > 0.5 + UNSURE:
        assert chance >= chances.max() - EQUALLY_LIKELY - UNSURE
        likely = chances >= chances.max() - EQUALLY_LIKELY + UNSURE
        assert excess <= excesses[likely].min() + UNSURE
    elif chances.max() < 0.5 - UNSURE:
        # No bound tells which is likeliest; it is at least as good as what is expected to exceed them least.
        least = excesses.argmin()
        assert chance > chances[least] - UNSURE - EQUALLY_LIKELY
        assert chance > chances[least] or excess <= excesses[least] + UNSURE


def single_cuts(chain: Chain) -> Candidates:
    """The plans with one crossing, as the device lists them: whole heads and whole tails."""
    whole_s = sum(chain.device_s)
    (answer,) = chain.down[-1]
    rows = [Candidate(cut="D" * len(chain), codec="none", cloud=None, head_s=whole_s, local_tail_s=whole_s)]
    rows.extend(
        Candidate(
            cut="D" * k + "C" * (len(chain) - k),
            codec=way.codec,
            cloud=0,
            head_s=sum(chain.device_s[:k]),
            encode_s=way.device_s,
            up_bytes=way.sent_bytes,
            down_bytes=answer.sent_bytes,
            decode_s=way.cloud_s,
            tail_s=sum(chain.cloud_s[k:]),
            local_tail_s=sum(chain.device_s[k:]),
            fidelity=way.fidelity,
        )
        for k, ways in enumerate(chain.up)
        for way in ways
    )
    return Candidates(rows)


@given(
    situations(),
    st.sampled_from([None, 0.5, 0.9, 1.2]),
    st.sampled_from([0.0, 0.97]),
    st.sampled_from([Objective.LATENCY, Objective.ENERGY, Objective.COST]),
    st.booleans(),
)
def test_where_one_crossing_is_best_the_choice_is_that_among_single_cuts(
    situation: Situation, tightness: float | None, fidelity: float, objective: Objective, way_back: bool
) -> None:
    """Either there is no way back but the answer's, or it is as good as none."""
    chain = situation.chain
    answer = CrossingOption(codec="f32", sent_bytes=4_000.0)
    back = (NEVER,) if way_back else ()
    chain = replace(chain, down=(*(back for _ in chain.down[1:]), (answer,)))
    plans = single_cuts(chain)
    wanted = predict(
        plans, device=situation.device, clouds=[situation.cloud], call=situation.call, quantile=situation.quantile
    )
    cap = None if tightness is None else tightness * float(wanted.deadline_s.min())
    caps = Caps(latency_s=cap, fidelity=fidelity, objective=objective)
    decision = choose(plans, wanted, caps)
    got = placed(replace(situation, chain=chain, pins=Pins()), caps)
    assert got.unmet == decision.unmet
    assert got.letters == plans.rows[decision.row].cut
    assert [run.up.codec for run in got.runs] == [plans.rows[decision.row].codec] * len(got.runs)
    for name in (*FIGURES, *PHASES):
        one = getattr(wanted if name in FIGURES else wanted.phases, name)[decision.row]
        assert figure(got, name) == pytest.approx(one, rel=1e-12, abs=1e-15), name


F32 = CrossingOption(codec="f32", sent_bytes=40_000.0)
Q8 = CrossingOption(codec="q8", sent_bytes=10_000.0, device_s=0.001, cloud_s=0.0005, fidelity=0.99)
ANSWER = CrossingOption(codec="f32", sent_bytes=400.0)
HEAVY_MIDDLE = Chain(
    cloud=0,
    device_s=(0.005, 0.1, 0.1, 0.001),
    cloud_s=(0.001, 0.004, 0.006, 0.001),
    up=((CrossingOption(codec="u8", sent_bytes=150_000.0),), (F32, Q8), (F32, Q8), (F32, Q8)),
    down=((F32, Q8), (F32, Q8), (F32, Q8), (ANSWER,)),
)
SCENE = Situation(HEAVY_MIDDLE, DEVICE, CLOUD, CALL, 0.95)


def test_two_crossings_by_hand() -> None:
    got = placed(replace(SCENE, pins=Pins(1, 1)), Caps())
    assert (got.letters, got.cloud, got.unmet) == ("DCCD", 0, ())
    (run,) = got.runs
    assert (run.first, run.last, run.up, run.down) == (1, 3, Q8, Q8)
    assert got.fidelity == pytest.approx(0.99**2)
    busy = 0.005 + (0.005 + 0.001 + 0.001 + 0.001) * 2
    on_air = 10_000 * 1e-6 + 10_000 * 2e-6
    link = 0.010 + on_air
    remote = (0.0005 + 0.0005 + 0.004 + 0.006) * 1.5
    assert figure(got, "latency_s") == pytest.approx(busy + link + 0.003 + remote)
    transmit = 20_000 * 8 * 0.3 / 1e6 + on_air * 0.1
    assert figure(got, "energy_j") == pytest.approx(5 * busy + 2 * (link + 0.003 + remote) + transmit)
    assert figure(got, "cost") == pytest.approx(20_000 * 2 / 1e9 + 0.010 * 1.5 * 0.5 + 0.001)


def test_each_request_has_its_own_round_trip_queue_and_price() -> None:
    chain = replace(HEAVY_MIDDLE, device_s=(0.001, 0.1, 0.001, 0.1), cloud_s=(1.0, 0.001, 1.0, 0.001))
    got = placed(replace(SCENE, chain=chain), Caps(fidelity=1.0))
    assert got.letters == "DCDC"
    assert [(run.first, run.last, run.up.codec, run.down.codec) for run in got.runs] == [
        (1, 2, "f32", "f32"),
        (3, 4, "f32", "f32"),
    ]
    assert figure(got, "link_s") == pytest.approx(2 * 0.010 + 80_000 * 1e-6 + 40_400 * 2e-6)
    assert figure(got, "queue_s") == pytest.approx(2 * 0.003)
    assert figure(got, "cost") == pytest.approx(120_400 * 2 / 1e9 + 0.002 * 1.5 * 0.5 + 2 * 0.001)


@dataclass
class Scenario:
    because: str
    letters: str
    caps: Caps = NO_CAPS
    pins: Pins = NO_PINS
    unmet: tuple[str, ...] = ()


SCENARIOS = [
    Scenario("the heavy middle leaves", "DCCC"),
    Scenario("the last segment is pinned", "DCCD", pins=Pins(last=1)),
    Scenario("the first two are pinned", "DDCC", pins=Pins(first=2)),
    Scenario("all are pinned", "DDDD", pins=Pins(3, 3)),
    Scenario("nothing may leave", "DDDD", pins=Pins(never_leave=True)),
    Scenario("nothing may be paid", "DDDD", Caps(cost=0.0)),
    Scenario("half the seconds may be paid", "DCDD", Caps(cost=0.0045)),
    Scenario("nothing is as fast", "DCCC", Caps(latency_s=0.01), unmet=("latency",)),
    Scenario("nor as cheap: local exceeds its caps least", "DDDD", Caps(latency_s=0.4, cost=1e-6), unmet=("latency",)),
    Scenario("what may not leave may be late", "DDDD", Caps(latency_s=0.1), Pins(never_leave=True), ("latency",)),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.because)
def test_scenarios(scenario: Scenario) -> None:
    got = placed(replace(SCENE, pins=scenario.pins), scenario.caps)
    assert (got.letters, got.unmet) == (scenario.letters, scenario.unmet)


def test_a_companion_that_is_down_gets_nothing() -> None:
    got = placed(replace(SCENE, cloud=replace(CLOUD, up=False)), Caps())
    assert (got.letters, got.cloud, got.runs) == ("DDDD", None, ())


def test_the_file_goes_as_it_came_or_not_at_all() -> None:
    file = CrossingOption(codec=SOURCE, sent_bytes=300.0)
    chain = replace(HEAVY_MIDDLE, up=((file,), *HEAVY_MIDDLE.up[1:]), device_s=(0.1, 0.1, 0.1, 0.001))
    got = placed(replace(SCENE, chain=chain, pins=Pins(last=1)), Caps(fidelity=1.0))
    assert (got.letters, got.runs[0].up) == ("CCCD", file)
    assert figure(got, "prep_s") == 0
    assert figure(got, "link_s") == pytest.approx(0.01 + 20_300e-6 + got.runs[0].down.sent_bytes * 2e-6)
    assert figure(got, "decode_s") == pytest.approx(0.001 * 1.5)
    pixels = replace(CALL, source_bytes=None)
    assert placed(replace(SCENE, chain=chain, call=pixels), Caps()).letters[0] == "D"


def test_the_file_is_prepared_by_the_companion_that_gets_it() -> None:
    chain = replace(HEAVY_MIDDLE, cloud=1, up=((CrossingOption(codec=SOURCE, sent_bytes=300.0),), (), (), ()))
    call = replace(CALL, cloud_prep_s=(9.0, 0.002))
    got = place([chain], device=DEVICE, clouds=[CLOUD, CLOUD], call=call, caps=Caps(), quantile=0.95)
    assert (got.letters, got.cloud) == ("CCCC", 1)
    assert figure(got, "decode_s") == pytest.approx(0.002 * 1.5)


@pytest.mark.parametrize("energy", [0.02, 0.05, 0.1, 0.2, 0.5])
def test_of_placements_that_cost_the_same_the_fastest(energy: float) -> None:
    free = replace(CLOUD, price_per_gb=0.0, price_per_second=0.0, price_per_request=0.0)
    device = replace(DEVICE, tx_base_w=9.0)
    scene = replace(SCENE, chain=chain_of(np.random.default_rng(5), 6, 3, 0.1), device=device, cloud=free)
    every = outcomes(scene)
    energy_j = float(np.quantile(every.energy_most, energy))
    got = placed(scene, Caps(energy_j=energy_j, fidelity=0.9, objective=Objective.COST))
    fits = (every.energy_most <= energy_j) & (every.fidelity >= 0.9)
    assert figure(got, "latency_s") == pytest.approx(every.latency[fits].min())


@pytest.mark.parametrize("spreads", [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.2, 0.3, 0.4)])
def test_a_deadline_leaves_room_for_all_that_varies(spreads: tuple[float, float, float]) -> None:
    on_device, on_link, on_cloud = spreads
    cloud = replace(CLOUD, link_spread=on_link, speed_spread=on_cloud)
    scene = replace(SCENE, device=replace(DEVICE, spread=on_device), cloud=cloud)
    least_s = float(outcomes(scene).deadline.min())
    assert placed(scene, Caps(latency_s=least_s * 1.0001)).unmet == ()
    assert placed(scene, Caps(latency_s=least_s * 0.9999)).unmet == ("latency",)


def test_what_is_a_little_slower_but_steadier_is_kept_in_mind() -> None:
    """The link varies by all that it takes, which is half the time of the fastest ways there and back."""
    rough = replace(CLOUD, rtt_s=0.0, up_s_per_byte=1e-6, down_s_per_byte=1e-6, link_spread=1.0, queue_s=0.0)
    device = replace(DEVICE, speed=1.0)
    there = (
        CrossingOption(codec="fast", sent_bytes=10_000.0),
        CrossingOption(codec="steady", sent_bytes=1_000.0, device_s=0.010),
    )
    back = (
        CrossingOption(codec="fast", sent_bytes=10_000.0),
        CrossingOption(codec="steady", sent_bytes=0.0, device_s=0.020),
    )
    chain = Chain(cloud=0, device_s=(1.0,), cloud_s=(0.0,), up=(there,), down=(back,))
    got = placed(Situation(chain, device, rough, CallFacts(0.0, (0.0,), None), 0.8413), Caps(latency_s=0.033))
    assert got.unmet == ()
    assert [(run.up.codec, run.down.codec) for run in got.runs] == [("steady", "fast")]


def test_the_better_companion_is_asked() -> None:
    far = replace(CLOUD, name="far", rtt_s=0.2)
    call = replace(CALL, cloud_prep_s=(0.001, 0.001))
    chains = [replace(HEAVY_MIDDLE, cloud=1), HEAVY_MIDDLE]

    def asked(clouds: list[CloudState], caps: Caps = NO_CAPS) -> int | None:
        return place(chains, device=DEVICE, clouds=clouds, call=call, caps=caps, quantile=0.95).cloud

    assert asked([CLOUD, far]) == 0
    assert asked([far, CLOUD]) == 1
    assert asked([replace(CLOUD, price_per_request=1.0), far], Caps(cost=0.1)) == 1
    assert asked([far, replace(CLOUD, up=False)]) == 0


@pytest.mark.parametrize("near", [0, 1])
def test_the_nearer_companion_is_asked(near: int) -> None:
    free = replace(CLOUD, price_per_gb=0.0, price_per_second=0.0, price_per_request=0.0)
    clouds = [replace(free, rtt_s=0.010 if cloud == near else 0.2) for cloud in (0, 1)]
    call = replace(CALL, cloud_prep_s=(0.001, 0.001))
    chains = [HEAVY_MIDDLE, replace(HEAVY_MIDDLE, cloud=1)]
    far_s = figure(placed(replace(SCENE, cloud=clouds[1 - near]), NO_CAPS), "deadline_s")
    for caps in (
        Caps(objective=Objective.COST),  # both cost nothing
        Caps(latency_s=0.99 * far_s),  # only the near one is fast enough
        Caps(latency_s=0.01),  # neither is
    ):
        assert place(chains, device=DEVICE, clouds=clouds, call=call, caps=caps, quantile=0.95).cloud == near


def test_a_chain_has_figures_for_all_its_segments() -> None:
    with pytest.raises(ValueError, match="as it has segments"):
        replace(HEAVY_MIDDLE, cloud_s=(0.1,))
