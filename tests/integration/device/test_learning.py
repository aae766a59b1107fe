"""Fidelity learned in service: lossy plans earn their place by this device's own pictures, and lose it by them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from collab_sdk.reports import EvidenceReport
from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from collabd.device.journal import FIDELITY_CHANGED
from collabd.engine import Engine
from collabd.profiling.calibrate import there_and_back
from tests.conftest import TINY_LABELS, TINY_SIDE
from tests.integration.device.conftest import Bench, Factory
from tests.patience import PATIENCE_S

CODEC = "jpeg75"
# A call that spares energy waits for the companion, so that its answer is that of the plan.
WISHES: dict[str, Any] = {"codec": CODEC, "budget": "min-energy"}
# 19 pictures without a disagreement promise that much.
SETTINGS = "[planning]\nmin_fidelity = 0.95\naudit_share = 1\n"


@pytest.fixture(scope="module")
def tiny_package(tiny_model: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The tiny network, which no images calibrated."""
    return build(
        tiny_model,
        name="tiny",
        task=Classify(labels=TINY_LABELS),
        picture=Picture(height=TINY_SIDE, width=TINY_SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        out=tmp_path_factory.mktemp("unproven") / "tiny",
    )


@pytest.fixture(scope="module")
def scenes(tiny_package: Package) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures of which the network is sure: those that it answers alike as JPEG, by turns of class, and the others."""
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (6000, 8, 8, 3), dtype=np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    engine = Engine(threads=1, cache_bytes=2**24)
    engine.add("tiny", tiny_package.network())
    (source,), (output,) = tiny_package.manifest.input_names, tiny_package.manifest.output_names
    arrived = np.concatenate([there_and_back(each[np.newaxis], CODEC, None)[0] for each in pictures])
    scores, others = (engine.run("tiny", {source: each}, [output])[output] for each in (pictures, arrived))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    sure, decided = shares.max(axis=1) >= 0.5, scores.argmax(axis=1)
    agrees = decided == others.argmax(axis=1)
    return by_turns(pictures[sure & agrees], decided[sure & agrees]), list(pictures[sure & ~agrees])


def by_turns(pictures: np.ndarray, decided: np.ndarray) -> list[np.ndarray]:
    of_class = [pictures[decided == kind] for kind in np.unique(decided)]
    return [each for together in zip(*of_class, strict=False) for each in together]


async def shown(it: Bench, pictures: Sequence[np.ndarray]) -> None:
    """Ask about each picture, and wait until it was audited."""
    for picture in pictures:
        before = (await it.client.status())["audits"]["pictures"]
        await it.client.infer(picture, **WISHES)
        for _ in range(int(PATIENCE_S / 0.005)):
            if (await it.client.status())["audits"]["pictures"] > before:
                break
            await asyncio.sleep(0.005)
        else:
            raise AssertionError("the picture was never audited")


async def evidence(it: Bench) -> EvidenceReport:
    report = await it.client.profile("tiny")
    (codec,) = (cut["codecs"][CODEC] for cut in report["rows"] if CODEC in cut["codecs"])
    assert codec["evidence"] is not None
    return codec["evidence"]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    changes = [
        record
        for record in caplog.records
        if getattr(record, "journal_fields", {}).get("MESSAGE_ID") == FIDELITY_CHANGED
    ]
    return [record.getMessage() for record in changes if CODEC in record.getMessage()]


async def test_a_row_is_earned_from_nothing_and_dropped_in_another_scene(
    bench: Factory, scenes: tuple[list[np.ndarray], list[np.ndarray]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    alike, unlike = scenes
    async with bench(SETTINGS) as it:
        first = await it.client.infer(alike[0], **WISHES)
        assert (first.plan.codec, first.unmet) == (CODEC, ("fidelity",))
        await shown(it, alike[1:26])
        counted = await evidence(it)
        assert counted["agreed"] == 1
        assert counted["here"] == pytest.approx(26, abs=1.5)
        earned = await it.client.infer(alike[26], **WISHES)
        assert (earned.plan.codec, earned.unmet) == (CODEC, ())
        assert (earned.fidelity or 0) >= 0.95
        (allowed,) = told(caplog)
        assert allowed.startswith(f"tiny: {CODEC} at image may serve calls that ask for a fidelity of 95 %")

        # A poisoned stream: in each of these pictures the codec changes the answer.
        await shown(it, unlike[:3])
        dropped = await it.client.infer(alike[27], **WISHES)
        assert dropped.unmet == ("fidelity",)
        _, no_longer = told(caplog)
        assert no_longer.startswith(f"tiny: {CODEC} at image no longer serves calls")
        audits = (await it.client.status())["audits"]
        assert audits["most"] == 1
        assert 0 < audits["share"] < 1


async def test_what_was_learned_outlives_a_restart_and_no_picture_is_kept(
    bench: Factory, scenes: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    alike, _ = scenes
    async with bench(SETTINGS) as it:
        await shown(it, alike[:6])
        before = await evidence(it)
        state = it.profiles.parent / "fidelity"
    (file,) = state.iterdir()
    assert file.stat().st_size < 4096
    async with bench(SETTINGS, cloud=False) as it:
        ledger = it.daemon.machinery.ledger
        (row,) = (
            each
            for known, each in ledger.of(it.package.digest, it.package.manifest).evidence.items()
            if (known.cut, known.codec) == ("image", CODEC)
        )
    assert row.here == pytest.approx(before["here"])


async def test_without_a_share_nothing_is_audited(
    bench: Factory, scenes: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    async with bench("[planning]\naudit_share = 0\n") as it:
        for picture in scenes[0][:3]:
            await it.client.infer(picture, **WISHES)
        audits = (await it.client.status())["audits"]
        assert (audits["most"], audits["core_s"], audits["pictures"]) == (0, 0, 0)
        assert (await evidence(it))["here"] == 0


async def test_a_reload_switches_audits_on(bench: Factory, scenes: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    async with bench("[planning]\naudit_share = 0\n") as it:
        await it.client.infer(scenes[0][0], **WISHES)
        await it.reload(SETTINGS)
        await shown(it, scenes[0][1:3])
        assert (await evidence(it))["here"] == pytest.approx(2, abs=0.1)
