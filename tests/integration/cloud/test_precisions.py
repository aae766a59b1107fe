"""What a companion computes in int8, and what it refuses to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import InvalidPackage, InvalidRequest, InvalidTensor
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import GRAPHS, Package
from collabd.catalog.store import bundle
from tests.int8_twin import with_int8_that_runs_nowhere
from tests.integration.cloud.conftest import Starter
from tests.integration.device.test_precisions import run


def asking(features: dict[str, np.ndarray], *outputs: str, **parameters: Any) -> wire.InferRequest:
    wanted = [wire.RequestedOutput(name) for name in outputs]
    tensors = [wire.Tensor.from_array(*each) for each in features.items()]
    return wire.InferRequest(tensors, outputs=wanted, parameters=parameters)


async def test_it_computes_in_the_precision_that_it_is_asked_for(
    start: Starter, int8_package: Package, tiny_images: list[np.ndarray]
) -> None:
    features = run(int8_package.path / GRAPHS[Precision.FP32], {"image": tiny_images[0][np.newaxis]}, ["pool1"])
    async with start(int8_package.path.parent) as companion:
        found = {}
        for precision in GRAPHS:
            request = asking(features, precision=precision, digest=int8_package.digest)
            answer = await companion.infer("tiny", request)
            found[precision] = answer.outputs[0].to_array()
            expected = run(int8_package.path / GRAPHS[precision], features, ["logits"])["logits"]
            np.testing.assert_allclose(found[precision], expected, atol=1e-5)
            assert answer.parameters["precision"] == precision
        # Whoever says nothing of it gets the network that all know.
        plain = await companion.infer("tiny", asking(features))
        np.testing.assert_allclose(plain.outputs[0].to_array(), found[Precision.FP32], atol=1e-6)
        assert plain.parameters["precision"] == "fp32"


async def test_requests_of_both_precisions_at_once_do_not_mix(
    start: Starter, int8_package: Package, tiny_images: list[np.ndarray]
) -> None:
    async with start(int8_package.path.parent) as companion:
        pairs = [(image, precision) for image in tiny_images[:20] for precision in GRAPHS]
        answers = await asyncio.gather(
            *(companion.infer("tiny", asking({"image": image[np.newaxis]}, precision=each)) for image, each in pairs)
        )
    for (image, precision), answer in zip(pairs, answers, strict=True):
        expected = run(int8_package.path / GRAPHS[precision], {"image": image[np.newaxis]}, ["logits"])["logits"]
        np.testing.assert_allclose(answer.outputs[0].to_array(), expected, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
async def test_features_that_are_not_finite_are_refused_in_int8(
    start: Starter, int8_package: Package, tiny_images: list[np.ndarray], value: float
) -> None:
    """Integers would make an answer of them that looks like any other."""
    features = run(int8_package.path / GRAPHS[Precision.FP32], {"image": tiny_images[0][np.newaxis]}, ["pool1"])
    features["pool1"][0, 0] = value
    async with start(int8_package.path.parent) as companion:
        with pytest.raises(InvalidTensor, match="'pool1' is not finite"):
            await companion.infer("tiny", asking(features, precision="int8"))


async def test_what_it_cannot_compute_in_int8_is_refused(
    start: Starter, int8_package: Package, tiny_package: Package, tiny_images: list[np.ndarray]
) -> None:
    image = {"image": tiny_images[0][np.newaxis]}
    async with start(int8_package.path.parent) as companion:
        with pytest.raises(InvalidTensor, match="'relu2' is at no candidate cut, as int8 needs"):
            await companion.infer("tiny", asking(image, "relu2", precision="int8"))
        for nonsense in ("int4", 8, True):
            with pytest.raises(InvalidRequest, match="precision must be fp32 or int8"):
                await companion.infer("tiny", asking(image, precision=nonsense))
    async with start(tiny_package.path.parent) as companion:
        with pytest.raises(InvalidRequest, match="tiny does not run in int8 here"):
            await companion.infer("tiny", asking(image, precision="int8"))


async def test_a_companion_on_which_int8_does_not_run_serves_and_profiles_fp32(
    start: Starter, int8_package: Package, tmp_path: Path, tiny_images: list[np.ndarray]
) -> None:
    package = with_int8_that_runs_nowhere(int8_package, tmp_path / "root/tiny")
    image = {"image": tiny_images[0][np.newaxis]}
    async with start(package.path.parent) as companion:
        with pytest.raises(InvalidRequest, match="tiny does not run in int8 here"):
            await companion.infer("tiny", asking(image, precision="int8"))
        await companion.infer("tiny", asking(image))
        status = 202
        while status == 202:
            status, body = await companion.call("GET", f"/collab/v1/profile/{package.digest}")
        assert status == 200
        assert json.loads(body)["whole_int8_ms"] is None


async def test_it_profiles_both_precisions(start: Starter, int8_package: Package) -> None:
    async with start(int8_package.path.parent) as companion:
        status = 202
        while status == 202:
            status, body = await companion.call("GET", f"/collab/v1/profile/{int8_package.digest}")
        profile = json.loads(body)
        assert profile["whole_int8_ms"] > 0
        assert all(cut["int8"]["tail_ms"] > 0 for cut in profile["cuts"])


async def test_a_pushed_package_is_vetted_with_all_its_graphs(
    start: Starter, int8_package: Package, tmp_path: Path, tiny_images: list[np.ndarray]
) -> None:
    bad = with_int8_that_runs_nowhere(int8_package, tmp_path / "tiny")
    async with start() as companion:
        status, body = await companion.call("PUT", f"/collab/v1/packages/{bad.digest}", bundle.pack(bad))
        assert isinstance(error := wire.decode_error(status, body), InvalidPackage)
        assert "model.int8.onnx: it does not run: " in str(error)
        status, _ = await companion.call("PUT", f"/collab/v1/packages/{int8_package.digest}", bundle.pack(int8_package))
        assert status == 201
        image = {"image": tiny_images[0][np.newaxis]}
        answer = await companion.infer("tiny", asking(image, precision="int8", digest=int8_package.digest))
        assert answer.parameters["precision"] == "int8"


async def test_bf16_is_refused_where_nothing_computes_it(
    start: Starter, tiny_package: Package, tiny_images: list[np.ndarray]
) -> None:
    async with start(tiny_package.path.parent) as companion:
        request = asking({"image": tiny_images[0][np.newaxis]}, precision=Precision.BF16)
        with pytest.raises(InvalidRequest, match="tiny does not run in bf16 here"):
            await companion.infer("tiny", request)
