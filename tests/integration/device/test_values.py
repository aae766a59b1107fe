"""A network that makes tensors of a picture: how exact they stay is up to the budget."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collab_sdk.vocabulary import Reason
from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Tensors
from collabd.catalog.package.package import Package
from tests.integration.device.conftest import Factory
from tests.task_networks import STRETCHED, segmenter


@pytest.fixture(scope="module")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The segmenter with the scores of its classes, and their map, as outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(segmenter())
    model.graph.output.insert(0, helper.make_tensor_value_info("head", TensorProto.FLOAT, ["batch", 4, 32, 32]))
    coarse = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    return build(
        model,
        name="tiny",
        task=Tensors(),
        picture=STRETCHED,
        licence="CC0-1.0",
        provenance="made for the tests",
        images=list(coarse.repeat(8, axis=1).repeat(8, axis=2)),
        out=tmp_path_factory.mktemp("packages") / "tiny",
    )


def test_the_package_tells_the_largest_change(tiny_package: Package) -> None:
    lossy = [each for cut in tiny_package.manifest.cuts for each in cut.codecs if each.largest_change is not None]
    assert {each.codec for each in lossy} >= {"f16", "q8", "q4", "jpeg90"}
    for figures in lossy:
        assert figures.agreement is None
        assert figures.largest_change is not None
        assert figures.fidelity == figures.overall == 1 - figures.largest_change
    # The map is an output too, and its range is 3: a pixel that changes its class changes by a third at least.
    changes = [each.largest_change for each in lossy]
    assert max(change for change in changes if change is not None) >= 1 / 3
    # The map is compressed, and the scores are not.
    answer_bytes = tiny_package.manifest.answer_bytes
    assert answer_bytes is not None
    assert 4 * 4 * 32 * 32 < answer_bytes < 4 * 4 * 32 * 32 + 32 * 32


async def test_tensors_stay_exact_unless_the_budget_says_otherwise(bench: Factory, tiny_package: Package) -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    fidelities = {each.fidelity for cut in tiny_package.manifest.cuts for each in cut.codecs}
    assert min(fidelities) < 1.0 in fidelities
    async with bench() as it:
        for budget, least in (("", 1.0), ("50%", 0.5)):
            result = await it.client.infer(image, budget)
            assert (result.fidelity or 0.0) >= least
            (decision,) = (await it.client.explain())["decisions"]
            for candidate in decision["candidates"]:
                assert (candidate["verdict"] == Reason.BELOW_FIDELITY) == (candidate["fidelity"] < least), candidate
        assert "largest change" in (await it.client.profile("tiny"))["measure"]
