"""In which precision the little network of a pair is asked: the one that is measured to be better on this board."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import GRAPHS, Package
from collabd.device.decide.candidates import local_plan
from collabd.device.decide.littles import little_step, plans_with_little
from collabd.device.fidelity.ledger import Ledger
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidates
from collabd.profiling.profile import Machine, Profile
from tests.pair_networks import paired_in_both_precisions

BIG_S = 0.5
MACHINE = Machine(cpu="a board", cores=1, onnxruntime="1", collabd="1")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    return paired_in_both_precisions(tmp_path_factory.mktemp("pair"))


def timed(package: Package, precisions: Iterable[Precision], *, fp32_ms: float, int8_ms: float | None) -> DeviceModel:
    """The model with these of its graphs in memory, and these times."""
    networks = package.networks()
    model = DeviceModel(package, {each: networks[each] for each in precisions})
    model.take_profile(
        Profile(
            digest=package.digest,
            machine=MACHINE,
            threads=1,
            prep_ms=0.1,
            whole_ms=fp32_ms,
            whole_int8_ms=int8_ms,
            spread=1.1,
            cuts=(),
        )
    )
    return model


def asked(packages: tuple[Package, Package], little: DeviceModel) -> dict[Precision, float]:
    """The precisions of the plans that ask it, and what its run takes."""
    big = DeviceModel(packages[0], packages[0].networks())
    believed = Ledger(None).of(big.digest, big.manifest)
    plans = plans_with_little(big, little, believed=believed)(Candidates([local_plan(BIG_S)]), 0.95)
    steps = [little_step(big, little, row.little) for row in plans.rows if row.little is not None]
    assert all(step is not None and big.manifest.little is not None for step in steps)
    for step in filter(None, steps):
        stated = big.manifest.little
        ladder = stated and stated.ladder(step.precision)
        assert ladder
        # The threshold and the score are those of the precision that answers.
        assert step.score == ladder.score
        assert step.least in {each.least for each in ladder.thresholds}
    return {row.little.precision: row.little.run_s for row in plans.rows if row.little is not None}


def test_what_is_faster_and_answers_as_much_is_asked(packages: tuple[Package, Package]) -> None:
    faster = timed(packages[1], GRAPHS, fp32_ms=20.0, int8_ms=8.0)
    slower = timed(packages[1], GRAPHS, fp32_ms=8.0, int8_ms=20.0)
    assert asked(packages, faster)[Precision.INT8] == 0.008
    assert asked(packages, slower)[Precision.FP32] == 0.008


def test_before_it_is_measured_it_is_asked_in_fp32(packages: tuple[Package, Package]) -> None:
    little = DeviceModel(packages[1], packages[1].networks())
    little.warmed_up(0.01)
    assert asked(packages, little) == {Precision.FP32: 0.01}


def test_where_no_int8_graph_is_loaded_it_is_asked_in_fp32(packages: tuple[Package, Package]) -> None:
    """As on boards whose memory is scarce, or where it does not run."""
    little = timed(packages[1], [Precision.FP32], fp32_ms=20.0, int8_ms=None)
    assert asked(packages, little) == {Precision.FP32: 0.02}
