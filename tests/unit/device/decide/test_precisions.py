"""Plans in fp32 and int8: which there are, and which is taken."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import msgspec
import pytest

from collab_sdk.errors import InvalidPlacement, InvalidRequest
from collab_sdk.vocabulary import Precision, Reason
from collabd.catalog.package.package import GRAPHS, Package
from collabd.device.companions.companion import Companion
from collabd.device.decide.candidates import candidates
from collabd.device.decide.prepared_placements import PreparedPlacements
from collabd.device.fidelity.figures import reduced_row
from collabd.device.fidelity.ledger import Ledger
from collabd.device.fidelity.row import WHOLE_INT8, Row
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.planning import choose
from collabd.planning.precisions import IN_FP32, Precisions
from collabd.profiling.profile import Profile
from tests.bf16_stand_in import in_bf16
from tests.int8_twin import AGREEMENT, in_int8
from tests.unit.device.conftest import FILE, PIXELS, companion_of, model_of, plan, planner

FP32, INT8 = GRAPHS
PAIRS = [Precisions(*pair) for pair in product(GRAPHS, GRAPHS)]


@pytest.fixture
def quick(int8_package: Package, profile: Profile) -> Profile:
    return in_int8(profile, int8_package, 0.25)


@pytest.fixture
def slow(int8_package: Package, profile: Profile) -> Profile:
    return in_int8(profile, int8_package, 4.0)


@pytest.fixture
def companion(int8_package: Package, quick: Profile) -> Companion:
    return companion_of(int8_package, quick)


def precisions_of(model: DeviceModel, there: Profile) -> Counter[tuple[str, Precisions]]:
    return Counter((row.cut, row.precisions) for row in candidates(model, [there]).rows)


def test_there_is_a_row_for_each_combination_that_the_package_keeps(int8_package: Package, quick: Profile) -> None:
    found = precisions_of(model_of(int8_package, quick), quick)
    for cut in int8_package.manifest.cuts:
        codecs = len({figures.codec for figures in cut.codecs})
        if cut.head_layers:
            assert [found[cut.name, pair] for pair in PAIRS] == [codecs] * 4
        else:
            # Also the file as it came.
            assert {pair: found[cut.name, pair] for pair in PAIRS} == dict(
                zip(PAIRS, (codecs + 1, 0, 0, codecs + 1), strict=True)
            )
    assert [found["output", pair] for pair in PAIRS] == [1, 0, 0, 1]


def test_times_are_those_of_the_precision_on_each_side(int8_package: Package, quick: Profile, slow: Profile) -> None:
    model = model_of(int8_package, quick)
    index, rows = (plans := candidates(model, [slow])).index, plans.rows
    here, there = ({times.cut: times for times in profile.cuts} for profile in (quick, slow))
    for head, tail in PAIRS:
        row = rows[index["pool1", "q8", 0, Precisions(head, tail)]]
        assert row.head_s == here["pool1"].parts(head).head_ms / 1e3
        assert row.tail_s == there["pool1"].parts(tail).tail_ms / 1e3
        assert row.local_tail_s == here["pool1"].parts(tail).tail_ms / 1e3
    for precision in GRAPHS:
        whole = rows[index["output", "none", None, Precisions(precision, precision)]]
        assert whole.head_s == whole.local_tail_s == quick.whole_s(precision)
        file = rows[index["image", "source", 0, Precisions(precision, precision)]]
        assert (file.tail_s, file.local_tail_s) == (slow.whole_s(precision), quick.whole_s(precision))
        assert file.fidelity == whole.fidelity == (1.0 if precision == FP32 else AGREEMENT.fidelity)


def test_a_companion_that_does_not_run_int8_gets_fp32_tails(
    int8_package: Package, quick: Profile, profile: Profile
) -> None:
    there = msgspec.structs.replace(profile, digest=int8_package.digest)
    tails = {row.tail for row in candidates(model_of(int8_package, quick), [there]).rows if row.cloud == 0}
    heads = {row.head for row in candidates(model_of(int8_package, quick), [there]).rows if row.cloud == 0}
    assert (tails, heads) == ({FP32}, {FP32, INT8})


def test_a_device_that_does_not_run_int8_asks_for_no_int8_tails(
    int8_package: Package, quick: Profile, profile: Profile
) -> None:
    """It could not finish them itself."""
    here = msgspec.structs.replace(profile, digest=int8_package.digest)
    assert {row.precisions for row in candidates(model_of(int8_package, here), [quick]).rows} == {IN_FP32}


def test_before_the_profile_all_runs_in_fp32(int8_package: Package, quick: Profile) -> None:
    model = DeviceModel(int8_package, int8_package.networks())
    assert [row.precisions for row in candidates(model, [quick]).rows] == [IN_FP32]


def test_the_faster_precision_wins_by_measurement(int8_package: Package, quick: Profile, slow: Profile) -> None:
    for profile, taken in ((quick, "int8"), (slow, "fp32")):
        planned = plan(planner(), model_of(int8_package, profile), budget="99%")
        assert (planned.cut, planned.told.precision) == ("output", taken)
        assert {step.precision for step in planned.job.steps} == {taken}


def test_each_side_has_its_own_best(int8_package: Package, quick: Profile, slow: Profile) -> None:
    """An image that is too long for the link, a head that is short in int8, and a companion that is slow in int8."""
    device, companion = model_of(int8_package, quick), companion_of(int8_package, slow)
    planned = plan(planner(companion, slowdown=2000), device, budget="99%", codec="q8", fallback="fail")
    assert planned.job.companion is companion
    assert planned.told.precision == "int8/fp32"
    assert [step.precision for step in planned.job.steps] == [INT8, FP32]


def test_a_cap_on_fidelity_leaves_int8_out(int8_package: Package, quick: Profile) -> None:
    for budget, precision in (("99.7%", "int8"), ("99.9%", "fp32"), ("100%", "fp32")):
        assert plan(planner(), model_of(int8_package, quick), budget=budget).told.precision == precision


def test_a_call_may_say_in_which_precision(int8_package: Package, quick: Profile, companion: Companion) -> None:
    it, model = planner(companion, slowdown=2000), model_of(int8_package, quick)
    for pair in PAIRS:
        for image in (PIXELS, FILE):
            planned = plan(it, model, image, budget="99%", precision=f"{pair.head}/{pair.tail}")
            assert planned.told.precision == str(pair.of(planned.placement))
        fixed = plan(it, model, cut="pool1", codec="q8", precision=f"{pair.head}/{pair.tail}")
        assert (fixed.told.precision, fixed.reason, fixed.row) == (str(pair), Reason.FIXED, 0)
        assert [step.precision for step in fixed.job.steps] == [*pair]


def test_never_leaving_keeps_the_precision(int8_package: Package, quick: Profile, companion: Companion) -> None:
    it, model = planner(companion, slowdown=2000), model_of(int8_package, quick)
    for precision in GRAPHS:
        planned = plan(it, model, budget="99%", fallback="never-leave", precision=precision)
        assert (planned.cut, planned.told.precision) == ("output", precision)


def test_pins_and_codecs_hold_beside_the_precision(int8_package: Package, quick: Profile, companion: Companion) -> None:
    it, model = planner(companion, slowdown=2000), model_of(int8_package, quick)
    planned = plan(it, model, budget="99%", precision="int8/fp32", codec="q8", pin_first=1)
    assert (planned.job.codec, planned.told.precision) == ("q8", "int8/fp32")
    assert planned.placement.startswith("D")


def test_the_device_races_in_the_precision_of_the_plan(int8_package: Package, quick: Profile, slow: Profile) -> None:
    plans = candidates(model_of(int8_package, quick), [slow])
    for row, home in zip(plans.rows, plans.at_home.tolist(), strict=True):
        assert (plans.rows[home].cloud, plans.rows[home].tail) == (None, row.tail)


def test_what_cannot_be_is_refused(
    int8_package: Package, tiny_package: Package, quick: Profile, profile: Profile, companion: Companion
) -> None:
    model = model_of(int8_package, quick)
    first, several = int8_package.manifest.layers[0].name, "DC" + "D" * (len(int8_package.manifest.layers) - 2)
    calls: list[dict[str, Any]] = [{"cut": first}, {"placement": several}]
    for options in calls:
        with pytest.raises(InvalidPlacement, match="all other placements run in fp32"):
            plan(planner(companion), model, precision="int8", **options)
        assert plan(planner(companion), model, precision="fp32", **options).told.precision == "fp32"
    calls = [{}, {"cut": "output"}]
    for options in calls:
        with pytest.raises(InvalidPlacement, match=r"tiny has no .* int8"):
            plan(planner(), model_of(tiny_package, profile), precision="int8", **options)
    del model.networks[INT8]
    with pytest.raises(InvalidPlacement, match="does not run in int8 on this device"):
        plan(planner(companion), model, cut="pool1", precision="fp32/int8")


@pytest.mark.parametrize("text", ["", "int4", "fp32/", "/int8", "int8/fp32/int8", "INT8"])
def test_words_that_are_no_precision_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="precision must be fp32 or int8 or bf16, or two of them as head/tail"):
        CallOptions.from_parameters({"precision": text})


def test_precisions_in_words() -> None:
    assert [str(pair) for pair in PAIRS] == ["fp32", "fp32/int8", "int8/fp32", "int8"]
    assert [Precisions.parse(str(pair)) for pair in PAIRS] == PAIRS


def test_every_plan_that_changes_answers_goes_by_what_is_believed_of_its_row(
    int8_package: Package, quick: Profile
) -> None:
    """Those of the whole network in int8 go by one row: on the device, and for a file that travels as it came."""
    model, ledger = model_of(int8_package, quick), Ledger(None)
    packed = ledger.of(model.digest, model.manifest).evidence
    for picture in range(40):
        ledger.take_in(model.digest, model.manifest, dict.fromkeys(packed, 0.0), decided=picture % 3, caps=set())
    believed = ledger.of(model.digest, model.manifest)
    plans = candidates(model, [quick], fidelity_of=believed.of).rows
    changing = [plan for plan in plans if plan.fidelity < 1]
    assert {Row.of_plan(plan) for plan in changing} == set(packed)
    assert [plan.fidelity for plan in changing] == [believed.promised(Row.of_plan(plan)) for plan in changing]
    assert {"none", "source", "u8"} <= {plan.codec for plan in changing if Row.of_plan(plan) == WHOLE_INT8}


BF16 = Precision.BF16


def test_only_the_companion_need_compute_in_bf16(int8_package: Package, quick: Profile) -> None:
    there = in_bf16(quick)
    plans = candidates(model_of(int8_package, quick), [there], reduced_fidelity_of=lambda _: 0.97).rows
    reduced = [row for row in plans if row.tail == BF16]
    # As many as in fp32, and none stays on the device.
    assert len(reduced) == sum(row.tail == FP32 and row.cloud == 0 for row in plans)
    without = {(row.cut, row.codec, row.head): row for row in plans if row.tail == FP32 and row.cloud == 0}
    for row in reduced:
        whole = row.cut == int8_package.manifest.cuts[0].name
        assert (row.cloud, row.head) == (0, BF16 if whole else row.head)
        like = without[row.cut, row.codec, FP32 if whole else row.head]
        assert row.tail_s == pytest.approx(like.tail_s / 2)
        assert row.local_tail_s == like.local_tail_s
        assert row.fidelity == pytest.approx(like.fidelity - 0.03)
        assert Row.of_reduced(row.tail, row.tail_by) == reduced_row(there)


def test_bf16_that_is_not_faster_is_no_plan(int8_package: Package, quick: Profile) -> None:
    plans = candidates(model_of(int8_package, quick), [in_bf16(quick, factor=1.0)]).rows
    assert BF16 not in {row.tail for row in plans}


def test_who_takes_over_in_bf16_is_of_the_same_kind_and_others_do_in_fp32(
    int8_package: Package, profile: Profile
) -> None:
    same = msgspec.structs.replace(profile, digest=int8_package.digest)
    other = msgspec.structs.replace(same, machine=msgspec.structs.replace(same.machine, cpu="another PC"))
    there = (in_bf16(same), in_bf16(same), in_bf16(other), same)
    model = model_of(int8_package, same)
    plans = candidates(model, there)
    whole_there_s = [each.whole_s() for each in there]
    prepared = PreparedPlacements(int8_package.manifest, plans, whole_s=same.whole_s(), whole_there_s=whole_there_s)
    for cut, in_reduced in (("pool1", Precisions(FP32, BF16)), ("image", Precisions(BF16, BF16))):
        for precisions, wanted in ((in_reduced, [BF16, FP32, FP32]), (IN_FP32, [FP32] * 3)):
            plan = prepared.of(cut=cut, placement=None, codec=None, cloud=0, has_file=False, precisions=precisions)
            elsewhere = dict(prepared.elsewhere(plan))
            assert [steps[-1].precision for steps in elsewhere.values()] == wanted
            assert list(elsewhere) == [1, 2, 3]


@pytest.mark.parametrize(("budget", "tail"), [("100%", FP32), ("99%", FP32), ("96%", BF16), ("50%", BF16)])
def test_bf16_is_chosen_where_what_was_counted_permits_it(
    int8_package: Package, profile: Profile, budget: str, tail: Precision
) -> None:
    here, there = (msgspec.structs.replace(profile, digest=int8_package.digest) for _ in range(2))
    companion = companion_of(int8_package, in_bf16(there, factor=0.01))
    options = CallOptions.from_parameters({"budget": budget})
    evaluation = planner(companion).evaluate(model_of(int8_package, here), PIXELS, options)
    remote = ~evaluation.plans.local
    decided = choose(evaluation.plans, evaluation.prediction, evaluation.caps, allowed=remote)
    assert evaluation.plans.rows[decided.row].tail == tail
