"""A companion that is to compute with other providers than the CPU's."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.package import GRAPHS, Package
from collabd.engine import why_missing
from tests.integration.cloud.conftest import Companion, Starter
from tests.integration.device.test_precisions import run
from tests.patience import PATIENCE_S


async def asked(companion: Companion, path: str) -> dict[str, Any]:
    """The answer of GET, once there is one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status, body = await companion.call("GET", path)
        if status == 200:
            found: dict[str, Any] = json.loads(body)
            return found
        assert time.monotonic() < deadline, (status, body)
        await asyncio.sleep(0.05)


async def answers_as_the_graph(companion: Companion, package: Package, image: np.ndarray) -> None:
    feeds = {"image": image[np.newaxis]}
    answer = await companion.infer("tiny", wire.InferRequest([wire.Tensor.from_array("image", feeds["image"])]))
    expected = run(package.path / GRAPHS[Precision.FP32], feeds, ["logits"])["logits"]
    np.testing.assert_allclose(answer.outputs[0].to_array(), expected, atol=1e-4)


@pytest.mark.skipif(not why_missing(Provider.CUDA), reason="this ONNX Runtime has CUDA")
async def test_it_does_without_one_that_is_missing_and_says_so(
    start: Starter, tiny_package: Package, tiny_images: list[np.ndarray]
) -> None:
    async with start(tiny_package.path.parent, engine={"providers": ["cuda", "cpu"]}) as companion:
        await answers_as_the_graph(companion, tiny_package, tiny_images[0])
        deadline = time.monotonic() + PATIENCE_S
        while not (health := (await asked(companion, "/collab/v1/status"))["health"]):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        told = next(each for each in health if each["code"] == "provider-failed")
        assert (told["about"], told["severity"]) == ("cuda", "warning")
        assert told["what"].startswith("cuda cannot be used: ")


@pytest.mark.openvino
@pytest.mark.skipif(bool(why_missing(Provider.OPENVINO)), reason=why_missing(Provider.OPENVINO))
async def test_it_computes_with_one_that_is_there_and_is_measured_with_it(
    start: Starter, tiny_package: Package, tiny_images: list[np.ndarray]
) -> None:
    async with start(tiny_package.path.parent, engine={"providers": ["openvino", "cpu"]}) as companion:
        await answers_as_the_graph(companion, tiny_package, tiny_images[0])
        (model,) = companion.cloud.models.loaded
        key = model.keys[Precision.FP32]
        assert companion.cloud.engine.providers(key) == (Provider.OPENVINO, Provider.CPU)
        (package,) = (await asked(companion, "/collab/v1/status"))["packages"]
        assert package["provider"] == "openvino"
        profile = await asked(companion, f"/collab/v1/profile/{model.digest}")
        assert profile["machine"]["provider"] == "openvino"
