"""Heads and tails in fp32 and int8 through both daemons: each answer is that of the combination that it claims."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.utils import Extractor

from collab_sdk import InvalidPlacement, InvalidRequest
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import GRAPHS, Package
from tests.int8_twin import in_int8
from tests.integration.device.conftest import Factory
from tests.plain_session import plain_session
from tests.slowed import SLOWER_THAN_AN_EXCHANGE

Arrays = dict[str, np.ndarray]
PAIRS = [*product(GRAPHS, GRAPHS)]


def run(graph: Path, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Arrays:
    """The outputs of a part of a graph, by the tools of ONNX and ONNX Runtime alone."""
    part = Extractor(onnx.load(graph)).extract_model(list(feeds), list(outputs))
    session = plain_session(part.SerializeToString())
    return dict(zip(outputs, session.run(list(outputs), dict(feeds)), strict=True))


def combined(package: Package, image: np.ndarray, cut: str, head: Precision, tail: Precision) -> np.ndarray:
    """The probabilities with the head in its precision up to the cut, and the tail in its precision behind it."""
    manifest = package.manifest
    crossing = next(each.tensors for each in manifest.cuts if each.name == cut)
    known = {manifest.input_names[0]: image[np.newaxis]}
    if made := [name for name in crossing if name not in known]:
        known = run(package.path / GRAPHS[head], known, made)
    (output,) = manifest.output_names
    logits = run(package.path / GRAPHS[tail], known, [output])[output][0]
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum())


def word(head: Precision, tail: Precision) -> str:
    return head if head == tail else f"{head}/{tail}"


async def test_every_split_of_every_combination_is_what_it_claims(bench: Factory, int8_package: Package) -> None:
    async with bench(package=int8_package) as it:
        for cut, (head, tail) in product(int8_package.manifest.cuts, PAIRS):
            for image in it.images[:5]:
                result = await it.client.infer(image, cut=cut.name, precision=f"{head}/{tail}", fallback="fail")
                expected = combined(int8_package, image, cut.name, head, tail)
                np.testing.assert_allclose(result.scores, expected, atol=1e-5)
                assert result.plan.precision == (word(head, tail) if cut.head_layers else tail)
                exact = head == tail == "fp32" or (tail == "fp32" and not cut.head_layers)
                assert result.fidelity == (1.0 if exact else pytest.approx(0.9974, abs=1e-4))


async def test_the_combinations_differ(int8_package: Package, tiny_images: list[np.ndarray]) -> None:
    """Or the test above would prove little."""
    answers = [combined(int8_package, tiny_images[0], "pool1", *pair) for pair in PAIRS]
    for index, one in enumerate(answers):
        assert all(np.abs(one - other).max() > 1e-4 for other in answers[:index])


async def test_all_on_the_device(bench: Factory, int8_package: Package) -> None:
    async with bench(package=int8_package, cloud=False) as it:
        for precision in GRAPHS:
            result = await it.client.infer(it.images[0], cut="output", precision=precision)
            expected = combined(int8_package, it.images[0], "image", precision, precision)
            np.testing.assert_allclose(result.scores, expected, atol=1e-5)
            assert (result.plan.precision, result.ran) == (precision, "D" * len(int8_package.manifest.layers))


@pytest.mark.parametrize(("head", "tail"), PAIRS)
async def test_the_device_finishes_in_the_precision_of_the_plan(
    bench: Factory, int8_package: Package, head: Precision, tail: Precision
) -> None:
    async with bench(package=int8_package) as it:
        await it.stop_cloud()
        for cut in ("pool1", "image"):
            result = await it.client.infer(it.images[0], cut=cut, precision=f"{head}/{tail}")
            assert result.degraded
            np.testing.assert_allclose(result.scores, combined(int8_package, it.images[0], cut, head, tail), atol=1e-5)


@pytest.mark.parametrize(("budget", "tail", "fidelity"), [("99%", "int8", 0.9974), ("99.9%", "fp32", 1.0)])
async def test_a_free_call_is_finished_the_quickest_way_that_it_allows(
    bench: Factory, int8_package: Package, budget: str, tail: Precision, fidelity: float
) -> None:
    """A device that is quick in int8 asks a companion that is not, and finishes what that leaves."""
    async with bench(package=int8_package, **SLOWER_THAN_AN_EXCHANGE) as it:
        model = it.daemon.machinery.models.at_hand("tiny")
        assert model is not None
        assert model.profile is not None
        model.take_profile(in_int8(model.profile, int8_package, 0.25))
        (companion,) = it.daemon._plane.generation.companions
        there = companion.profiles[int8_package.digest]
        companion.profiles[int8_package.digest] = in_int8(there, int8_package, 4.0)
        asked = await it.client.infer(it.images[0], budget, codec="u8")
        assert (asked.ran_on, asked.computed_in) == ("pc", "fp32")
        await it.stop_cloud()
        result = await it.client.infer(it.images[0], budget, codec="u8")
        assert result.degraded
        assert (result.plan.precision, result.computed_in) == ("fp32", tail)
        assert result.fidelity == pytest.approx(fidelity, abs=1e-4)
        assert result.budget_met
        expected = combined(int8_package, it.images[0], "image", tail, tail)
        np.testing.assert_allclose(result.scores, expected, atol=1e-5)


async def test_a_free_call_may_be_limited_to_a_precision(bench: Factory, int8_package: Package) -> None:
    async with bench(package=int8_package, **SLOWER_THAN_AN_EXCHANGE) as it:
        for head, tail in PAIRS:
            result = await it.client.infer(it.images[0], "99%", precision=f"{head}/{tail}")
            cut = "image" if result.plan.cut == "output" else result.plan.cut
            whole = {"image": tail, "output": head}.get(result.plan.cut)
            assert result.plan.precision == (whole or word(head, tail))
            assert result.plan.reason != "fixed"
            if result.plan.codec in {"none", "u8", "f32"}:
                one, other = (whole, whole) if whole else (head, tail)
                np.testing.assert_allclose(
                    result.scores, combined(int8_package, it.images[0], cut, one, other), atol=1e-5
                )


async def test_concurrent_calls_of_both_precisions_do_not_mix(bench: Factory, int8_package: Package) -> None:
    async with bench(package=int8_package, **SLOWER_THAN_AN_EXCHANGE) as it:
        tails = [*GRAPHS] * 15
        results = await asyncio.gather(
            *(
                it.client.infer(image, cut="image", precision=tail, fallback="fail")
                for image, tail in zip(it.images, tails, strict=False)
            )
        )
        for image, tail, result in zip(it.images, tails, results, strict=False):
            np.testing.assert_allclose(result.scores, combined(int8_package, image, "image", tail, tail), atol=1e-5)


async def test_what_a_package_or_a_cut_has_not_is_refused(bench: Factory, int8_package: Package) -> None:
    async with bench(cloud=False) as it:
        calls: list[dict[str, Any]] = [{"cut": "output"}, {}]
        for options in calls:
            with pytest.raises(InvalidPlacement, match="int8"):
                await it.client.infer(it.images[0], precision="int8", **options)
        with pytest.raises(InvalidRequest, match="precision must be fp32 or int8 or bf16"):
            await it.client.infer(it.images[0], precision="int4")


async def test_only_candidate_cuts_have_all_precisions(bench: Factory, int8_package: Package) -> None:
    layers = [layer.name for layer in int8_package.manifest.layers[:-1]]
    other = next(name for name in layers if name not in {cut.name for cut in int8_package.manifest.cuts})
    several = "DC" + "D" * (len(layers) - 1)
    async with bench(package=int8_package) as it:
        calls: list[dict[str, Any]] = [{"cut": other}, {"placement": several}]
        for options in calls:
            with pytest.raises(InvalidPlacement, match="all other placements run in fp32"):
                await it.client.infer(it.images[0], precision="int8", **options)
            await it.client.infer(it.images[0], precision="fp32", fallback="fail", **options)


async def test_a_package_with_int8_is_sent_to_a_companion_that_lacks_it(bench: Factory, int8_package: Package) -> None:
    async with bench(package=int8_package, pushed=True) as it:
        result = await it.client.infer(it.images[0], cut="pool1", precision="int8", fallback="fail")
        expected = combined(int8_package, it.images[0], "pool1", Precision.INT8, Precision.INT8)
        np.testing.assert_allclose(result.scores, expected, atol=1e-5)
