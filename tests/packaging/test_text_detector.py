"""A text detector that others published, PP-OCRv4's, through both daemons and at every cut."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from collab_sdk import Result
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.package.package import Package
from tests.integration.device.conftest import Factory, bench
from tests.packaging.wheels import onnx_files_of
from tests.unit.catalog.authoring.foreign.networks import built

__all__ = ["bench"]

pytestmark = pytest.mark.packaging

SIDE = 320
# Of a probability.
EQUAL = 1e-4
WORDS = "Pi and PC"
CENTRE = (SIDE / 2, SIDE / 2)
FONT = ImageFont.load_default(40)


@pytest.fixture(scope="module")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """It answers with tensors: with the probability of text in each pixel."""
    folder = tmp_path_factory.mktemp("rapidocr")
    onnx_files_of("rapidocr-onnxruntime", folder)
    (path,) = folder.rglob("ch_PP-OCRv4_det_infer.onnx")
    return built(resolve(str(path), ImportOptions(size=(SIDE, SIDE))), folder / "built")


@pytest.fixture(scope="module")
def sign() -> Image.Image:
    """A grey board with black words on it."""
    board = Image.new("RGB", (SIDE, SIDE), (200, 205, 210))
    ImageDraw.Draw(board).text(CENTRE, WORDS, "black", FONT, "mm")
    return board


def chances(result: Result) -> np.ndarray:
    """The probability of text in each pixel."""
    (found,) = result.outputs.values()
    assert found.shape == (1, 1, SIDE, SIDE)
    chance: np.ndarray = found[0, 0]
    return chance


async def test_it_finds_the_words_and_the_same_wherever_it_is_cut(
    bench: Factory,
    tiny_package: Package,
    sign: Image.Image,
) -> None:
    left, top, right, bottom = map(round, ImageDraw.Draw(sign).textbbox(CENTRE, WORDS, FONT, "mm"))
    async with bench() as it:
        whole = await it.client.infer(sign, placement="D" * len(tiny_package.manifest.layers))
        expected = chances(whole)
        assert (expected[top:bottom, left:right] > 0.5).mean() > 0.3
        assert (expected > 0.5).sum() == (expected[top:bottom, left:right] > 0.5).sum()
        assert len(tiny_package.manifest.cuts) > 3
        for cut in tiny_package.manifest.cuts:
            codec = "f32" if cut.head_layers else "u8"
            split = await it.client.infer(sign, cut=cut.name, codec=codec, fallback="fail")
            assert "C" in split.ran
            np.testing.assert_allclose(chances(split), expected, rtol=0, atol=EQUAL)
