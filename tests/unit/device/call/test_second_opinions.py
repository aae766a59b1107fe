"""One call in a hundred is compared: both kinds of calls count, and each picture once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from collab_sdk.vocabulary import Cascade, Fallback, Precision
from collabd.catalog.package.little import Ladder
from collabd.catalog.package.sureness import Opinion
from collabd.device.call.second_opinions import SecondOpinions
from collabd.device.fidelity.ledger import Crossed, Ledger
from collabd.device.fidelity.row import Row
from collabd.device.job.image import CallImage
from collabd.device.job.job import Job, JobStep, LittleStep
from collabd.device.job.placement import Stage
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.model import DeviceModel
from collabd.device.run.compute import compute_on
from collabd.device.run.executor import Executor
from collabd.engine import Engine, Stop
from collabd.planning import Caps
from collabd.planning.precisions import IN_FP32
from tests.device_parts import new_record
from tests.pair_networks import paired_in_both_precisions, pictures
from tests.unit.planning.scene import DEVICE


class Always(Random):
    """Every call is drawn."""

    def random(self) -> float:
        return 0.0


class Bench:
    """The pair on this machine, without a companion."""

    def __init__(self, directory: Path) -> None:
        self.engine = Engine(threads=1, cache_bytes=2**27)
        packages = paired_in_both_precisions(directory)
        self.big, self.little = (DeviceModel(package, package.networks()) for package in packages)
        for model in (self.big, self.little):
            self.engine.add(model.key, model.network)
        # In which the little network is asked.
        self.precision = Precision.FP32
        self.lane = Lane(ComputeThread())
        self.ledger = Ledger(None)
        self.crossed: list[Crossed] = []
        self.opinions = self.asking(Always())

    def asking(self, random: Random) -> SecondOpinions:
        return SecondOpinions(
            Executor(compute_on(self.engine), self.lane, hedge_price=0.0),
            self.ledger,
            caps=lambda _: {0.9},
            changed=lambda _, crossed: self.crossed.append(crossed),
            random=random,
        )

    @property
    def job(self) -> Job:
        ladder, layers = self.ladder(self.precision), len(self.big.manifest.layers)
        little = LittleStep(
            model=self.little,
            kind=Cascade.SERIAL,
            precision=self.precision,
            score=ladder.score,
            least=ladder.thresholds[-1].least,
            run_s=0.0,
            same_picture=True,
        )
        return Job(
            model=self.big,
            steps=(JobStep(Stage("D", 0, layers), 0.0),),
            codec="none",
            precisions=IN_FP32,
            companion=None,
            alone="",
            standbys=(),
            caps=Caps(),
            device=DEVICE,
            fallback=Fallback.LOCAL,
            sparing=False,
            deadline_s=None,
            slow=1.0,
            here_s=0.0,
            prep_s=0.0,
            profiled=False,
            little=little,
        )

    def decided(self, picture: np.ndarray) -> int:
        feeds = {"image": picture[np.newaxis]}
        found = self.engine.run(self.big.key, feeds, self.big.outputs, stop=Stop())
        return int(found[self.big.outputs[0]][0].argmax())

    async def ended(self, picture: np.ndarray, *, decided: int, sureness: float, answered: bool) -> None:
        """A call of this picture, about which the little network said this."""
        record = new_record()
        record.opinion, record.little_answered = Opinion(decided, sureness), answered
        feeds = {"image": picture[np.newaxis]}
        found = {} if answered else self.engine.run(self.big.key, feeds, self.big.outputs, stop=Stop())
        given = CallImage(picture, picture.shape[0] * picture.shape[1])
        self.opinions.consider(self.job, given, record, found=found)
        await asyncio.gather(*self.opinions._under_way)

    def ladder(self, precision: Precision) -> Ladder:
        stated = self.big.manifest.little
        assert stated is not None
        ladder = stated.ladder(precision)
        assert ladder is not None
        return ladder

    def here(self, place: int, precision: Precision = Precision.FP32) -> tuple[float, float]:
        """What was counted here for a threshold: pictures, and what is promised now."""
        row = Row.of_threshold(precision, self.ladder(precision).thresholds[place].least)
        believed = self.ledger.of(self.big.digest, self.big.manifest)
        return believed.evidence[row].here, believed.promised(row)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    it = Bench(tmp_path)
    yield it
    it.lane.close()


async def test_a_wrong_answer_counts_against_the_thresholds_that_let_it_pass(bench: Bench) -> None:
    plain = pictures(60, seed=3)[::2]
    strict, wide = bench.here(0)[1], bench.here(-1)[1]
    thresholds = bench.ladder(Precision.FP32).thresholds
    between = (thresholds[0].least + thresholds[-1].least) / 2
    for picture in plain:
        decided = bench.decided(picture)
        await bench.ended(picture, decided=(decided + 1) % 3, sureness=between, answered=True)
    assert bench.here(-1)[1] < wide - 0.05
    assert bench.here(0)[1] > strict - 0.05
    assert any(crossed.least == 0.9 for crossed in bench.crossed)


async def test_a_call_that_the_little_network_left_counts_too(bench: Bench) -> None:
    before = bench.here(-1)[1]
    for picture in pictures(40, seed=4)[::2]:
        await bench.ended(picture, decided=0, sureness=0.0, answered=False)
    # Both networks together were right about these.
    assert bench.here(-1)[0] > 10
    assert bench.here(-1)[1] > before


async def test_what_was_said_in_one_precision_says_nothing_of_the_other(bench: Bench) -> None:
    bench.precision = Precision.INT8
    for picture in pictures(20, seed=6)[::2]:
        await bench.ended(picture, decided=bench.decided(picture), sureness=1.0, answered=True)
    assert bench.here(0, Precision.INT8)[0] > 5
    assert bench.here(0, Precision.FP32)[0] == 0


async def test_a_copy_does_not_count_again(bench: Bench) -> None:
    picture = pictures(1, seed=5)[0]
    decided = bench.decided(picture)
    await bench.ended(picture, decided=decided, sureness=1.0, answered=True)
    once = bench.here(0)[0]
    await bench.ended(picture, decided=decided, sureness=1.0, answered=True)
    assert bench.here(0)[0] == once


async def test_one_call_in_a_hundred_is_drawn(bench: Bench) -> None:
    bench.opinions = bench.asking(Random(1))
    drawn = 0
    record = new_record()
    record.opinion = Opinion(0, 1.0)
    picture = CallImage(pictures(1)[0], 256)
    for _ in range(2000):
        bench.opinions.consider(bench.job, picture, record, found={})
        drawn += len(bench.opinions._under_way)
        for task in bench.opinions._under_way:
            task.cancel()
        bench.opinions._under_way.clear()
    assert 8 <= drawn <= 40
