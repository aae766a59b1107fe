"""The answers of the tiny network, and the fidelity that they have."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.engine import Engine
from collabd.planning import Candidate
from collabd.profiling.calibrate import there_and_back
from collabd.simulation import realised
from collabd.simulation.answers import UNSPLIT, AnswerRow, Answers
from collabd.simulation.pictures import TAKES, ShownPictures, SimulatedCamera
from collabd.simulation.realised import Judge
from collabd.simulation.world import Outcome
from tests.unit.simulation.conftest import Loads


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where answers are kept."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path / "answers"


@pytest.fixture
def pictures(tiny_images: list[np.ndarray]) -> ShownPictures:
    return ShownPictures(np.stack(tiny_images), ((16, 16),) * len(tiny_images))


def outcome(plan: Candidate) -> Outcome:
    return Outcome(plan=plan, started_s=0.0, latency_s=0.1, energy_j=0.1)


def test_answers_are_those_of_the_parts(tiny_package: Package, pictures: ShownPictures) -> None:
    frames = np.array([7 * TAKES, 2 * TAKES + 3, 7 * TAKES])
    engine = Engine(threads=1, cache_bytes=2**24)
    engine.add("tiny", tiny_package.network())
    cut = tiny_package.manifest.cuts[1]
    figures = next(figures for figures in cut.codecs if figures.codec == "q8")
    answers = Answers(tiny_package, pictures)
    for row, crosses in ((UNSPLIT, False), (AnswerRow(cut.name, "q8"), True)):
        found = answers.of(row, frames)["logits"]
        for index, frame in enumerate(frames):
            feeds = {"image": pictures.frame(frame)}
            if crosses:
                made = engine.run("tiny", feeds, cut.tensors)
                feeds = {name: there_and_back(each, "q8", figures.channel_axis)[0] for name, each in made.items()}
            assert found[index] == pytest.approx(engine.run("tiny", feeds, ["logits"])["logits"][0], abs=1e-5)


def test_parts_of_both_precisions_are_joined(int8_package: Package, pictures: ShownPictures) -> None:
    frames = np.arange(0, 10 * TAKES, TAKES)
    networks, engine = int8_package.networks(), Engine(threads=1, cache_bytes=2**24)
    for precision, network in networks.items():
        engine.add(precision, network)
    image, cut = int8_package.manifest.cuts[:2]
    answers = Answers(int8_package, pictures)
    pixels = {"image": np.concatenate([pictures.frame(int(frame)) for frame in frames])}
    fp32, int8 = Precision.FP32, Precision.INT8
    for head, tail in product((fp32, int8), (fp32, int8)):
        joined = engine.run(tail, engine.run(head, pixels, cut.tensors), ["logits"])["logits"]
        assert answers.of(AnswerRow(cut.name, NO_CODEC, head, tail), frames)["logits"] == pytest.approx(
            joined, abs=1e-4
        )
    whole = engine.run(int8, pixels, ["logits"])["logits"]
    for row in (AnswerRow(LOCAL_CUT, NO_CODEC, int8, int8), AnswerRow(image.name, NO_CODEC, int8, int8)):
        assert answers.of(row, frames)["logits"] == pytest.approx(whole, abs=1e-4)


def test_answers_are_computed_once(tiny_package: Package, pictures: ShownPictures, state: Path) -> None:
    frames = np.arange(0, 60 * TAKES, TAKES)
    first = Answers(tiny_package, pictures).of(UNSPLIT, frames[:40])
    (file,) = state.iterdir()
    written = file.stat().st_mtime_ns
    again = Answers(tiny_package, pictures)
    assert np.array_equal(again.of(UNSPLIT, frames[:40])["logits"], first["logits"])
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(again.of(UNSPLIT, frames)["logits"][:40], first["logits"])
    other = ShownPictures(pictures.pixels[::-1].copy(), pictures.sizes)
    assert np.array_equal(Answers(tiny_package, other).of(UNSPLIT, frames[-1:])["logits"], first["logits"][:1])


def test_what_loses_nothing_has_a_fidelity_of_one(
    workload: Loads, tiny_package: Package, pictures: ShownPictures
) -> None:
    judge = Judge(
        tiny_package.manifest,
        SimulatedCamera(pictures, requests=60, parked=0.5, seed=0),
        answers=Answers(tiny_package, pictures),
    )
    plans = workload(1).plans.rows
    lossless = [plan for plan in plans if plan.fidelity == 1.0]
    assert {plan.codec for plan in lossless} >= {"none", "u8", "f32"}
    assert judge.realised([outcome(lossless[index % len(lossless)]) for index in range(60)]) == {"mean": 1, "least": 1}


def test_what_loses_much_is_seen(workload: Loads, tiny_package: Package, pictures: ShownPictures) -> None:
    camera = SimulatedCamera(pictures, requests=30, parked=0.0, seed=0)
    answers = Answers(tiny_package, pictures)
    judge = Judge(tiny_package.manifest, camera, answers=answers)
    plan = min(workload(1).plans.rows, key=lambda plan: plan.fidelity)
    found = judge.realised([outcome(plan)] * 30)
    assert found is not None
    assert found["least"] <= found["mean"] < 1
    shares = []
    for split in range(realised.SPLITS):
        frames = camera.frames(split)
        given = answers.of(AnswerRow(plan.cut, plan.codec), frames)["logits"].argmax(axis=1)
        unsplit = answers.of(UNSPLIT, frames)["logits"]
        sure = np.exp(unsplit - np.logaddexp.reduce(unsplit, axis=1)[:, None]).max(axis=1) >= 0.5
        shares.append((given == unsplit.argmax(axis=1))[sure].mean())
    assert (found["mean"], found["least"]) == pytest.approx((np.mean(shares), min(shares)))


def test_plans_with_several_crossings_are_not_judged(
    workload: Loads, tiny_package: Package, pictures: ShownPictures
) -> None:
    judge = Judge(
        tiny_package.manifest,
        SimulatedCamera(pictures, requests=1, parked=0.0, seed=0),
        answers=Answers(tiny_package, pictures),
    )
    several = replace(workload(1).plans.rows[1], cut="relu1+relu2", codec="u8+f32")
    assert judge.realised([outcome(several)]) is None
