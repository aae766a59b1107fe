"""In which precision the device would run a tail itself: the quickest that is faithful enough for the call."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from collab_sdk.vocabulary import Cascade, Precision
from collabd.catalog.package.package import Package
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.candidates import candidates
from collabd.device.decide.local_tails import plans_finished_here
from collabd.device.job.job import Crossing
from collabd.device.models.model import DeviceModel
from collabd.device.run.ahead import parts_of
from collabd.planning import Candidate, Candidates
from collabd.planning.candidates import AsksLittle
from collabd.profiling.profile import Profile
from tests.bf16_stand_in import in_bf16
from tests.int8_twin import AGREEMENT, in_int8
from tests.unit.device.conftest import FILE, PIXELS, companion_of, model_of, plan, planner

FP32, INT8 = Precision.FP32, Precision.INT8
# What int8 promises is between them.
LOOSE, STRICT = 0.99, 0.999


@pytest.fixture
def there(profile: Profile, int8_package: Package) -> Profile:
    """A companion without int8."""
    return msgspec.structs.replace(profile, digest=int8_package.digest)


def device(package: Package, profile: Profile, factor: float) -> DeviceModel:
    """A device on which int8 takes `factor` times as long as fp32."""
    return model_of(package, in_int8(profile, package, factor))


def is_remote(row: Candidate) -> bool:
    return row.cloud is not None


def test_int8_finishes_what_was_asked_in_fp32(int8_package: Package, profile: Profile, there: Profile) -> None:
    model = device(int8_package, profile, 0.25)
    before = candidates(model, [there])
    after = plans_finished_here(model)(before, LOOSE)
    remote = [row for row in after.rows if is_remote(row)]
    assert {row.tail for row in remote} == {FP32}
    assert {(row.local_tail, row.local_fidelity) for row in remote} == {(INT8, AGREEMENT.fidelity)}
    for old, new in zip(before.rows, after.rows, strict=True):
        assert new.local_tail_s == pytest.approx(old.local_tail_s / 4 if is_remote(old) else old.local_tail_s)
        # What the companion is asked, and what the plan promises, are the same.
        assert (new.key, new.fidelity, new.tail_s) == (old.key, old.fidelity, old.tail_s)
    # A race is against the local plan in int8.
    homes = {after.rows[home].tail for home, row in zip(after.at_home, after.rows, strict=True) if is_remote(row)}
    assert homes == {INT8}


def test_a_tail_in_bf16_is_finished_in_int8(int8_package: Package, profile: Profile, there: Profile) -> None:
    model = device(int8_package, profile, 0.25)
    plans = candidates(model, [in_bf16(there)], reduced_fidelity_of=lambda _: 0.97)
    reduced = [row for row in plans_finished_here(model)(plans, LOOSE).rows if row.tail.is_reduced]
    assert reduced
    assert {row.local_tail for row in reduced} == {INT8}


@pytest.mark.parametrize(("factor", "least"), [(0.25, STRICT), (4.0, LOOSE)])
def test_what_is_not_faithful_enough_or_not_quicker_is_left(
    int8_package: Package, profile: Profile, there: Profile, factor: float, least: float
) -> None:
    model = device(int8_package, profile, factor)
    before = candidates(model, [there])
    assert plans_finished_here(model)(before, least) is before


def test_fp32_finishes_what_was_asked_in_int8(int8_package: Package, profile: Profile, there: Profile) -> None:
    """Where int8 is quick on the companion, and slow here."""
    model = device(int8_package, profile, 4.0)
    plans = plans_finished_here(model)(candidates(model, [in_int8(there, int8_package, 0.25)]), LOOSE)
    remote = [row for row in plans.rows if is_remote(row)]
    assert {row.tail for row in remote} == {FP32, INT8}
    assert {row.local_tail for row in remote} == {FP32}


def test_beside_a_little_network_the_device_keeps_to_the_plan(
    int8_package: Package, profile: Profile, there: Profile
) -> None:
    """How sure that has to be was chosen for what the plan promises of the rest."""
    model = device(int8_package, profile, 0.25)
    little = AsksLittle(kind=Cascade.SERIAL, least=0.9, share=0.5, run_s=0.001, prepares=False)
    asking = [replace(row, little=little) for row in candidates(model, [there]).rows if is_remote(row)]
    plans = Candidates(asking)
    assert plans_finished_here(model)(plans, LOOSE) is plans


def rests(planned: CallPlan) -> list[Crossing]:
    steps = [planned.job.steps, *(standby.steps for standby in planned.job.standbys)]
    return [step.crossing for each in steps for step in each if step.crossing is not None]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"budget": "99%"}, INT8),
        ({"budget": "99%", "raw": True}, INT8),
        ({"budget": "99.9%"}, FP32),
        ({"budget": "99%", "precision": "fp32"}, FP32),
        ({"cut": "image"}, FP32),
        ({"cut": "image", "precision": "int8"}, INT8),
    ],
)
def test_a_call_is_finished_as_it_wants(
    int8_package: Package, profile: Profile, there: Profile, options: dict[str, str], wanted: Precision
) -> None:
    """Whoever takes over, and in the sessions that are built ahead."""
    model = device(int8_package, profile, 0.25)
    companions = [companion_of(int8_package, in_int8(there, int8_package, 4.0)) for _ in range(2)]
    for image in (PIXELS, FILE):
        planned = plan(planner(*companions, slowdown=2000), model, image, **options)
        assert planned.job.companion is not None
        assert {each.rest_in for each in rests(planned)} == {wanted}
        assert len(rests(planned)) == len(companions)
        whole_ms = {FP32: profile.whole_ms, INT8: profile.whole_ms / 4}[wanted]
        assert [each.rest_s for each in rests(planned)] == pytest.approx([whole_ms / 1e3] * len(companions))
        built = [precision for precision, _, outputs in parts_of(planned.job) if outputs == model.outputs]
        assert built == [wanted]
