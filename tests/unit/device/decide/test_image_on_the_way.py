"""How an image leaves the device by default: the shipped EfficientNet-Lite0 on a slow device, with a fast companion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collabd.catalog.package.manifest import Cut
from collabd.catalog.package.package import Package, load
from collabd.codec import JPEG_CODECS
from collabd.config import PlanningSettings
from collabd.device.companions.companion import Companion
from collabd.device.job.image import CallImage
from collabd.device.models.model import DeviceModel
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile
from tests.unit.device.conftest import companion_of, link_is, plan, planner

PACKAGE = Path(__file__).parents[4] / "models/efficientnet_lite0/package"
# So many times longer everything takes on the device.
SLOWNESS = 10
# As on one core of a PC, in milliseconds.
WHOLE_MS = 30.0
PREPARATION_MS = 1.0
CODEC_MS = dict.fromkeys(JPEG_CODECS, 0.3) | {"u8": 0.2}
FEATURE_CODEC_MS = 1.0
FRAME = CallImage(np.zeros((480, 640, 3), np.uint8), 640 * 480)


def file(megapixels: float, kilobytes: float) -> CallImage:
    return CallImage(b"x" * int(kilobytes * 1000), int(megapixels * 1e6))


@pytest.fixture(scope="module")
def package() -> Package:
    return load(PACKAGE)


def profile(package: Package, slowness: float) -> Profile:
    """Heads and tails take what their share of the network's work does."""
    layers, whole_ms = package.manifest.layers, WHOLE_MS * slowness
    total = sum(layer.macs for layer in layers)

    def times(cut: Cut) -> CutTimes:
        head = sum(layer.macs for layer in layers[: cut.head_layers]) / total
        taken = [(each.codec, CODEC_MS.get(each.codec, FEATURE_CODEC_MS) * slowness) for each in cut.codecs]
        codecs = tuple(CodecTimes(codec, ms, ms) for codec, ms in taken)
        return CutTimes(cut.name, whole_ms * head, whole_ms * (1 - head), codecs)

    return Profile(
        package.digest,
        Machine(cpu="a PC", cores=2, onnxruntime="1.32.0", collabd="0.1.0"),
        1,
        prep_ms=PREPARATION_MS * slowness,
        whole_ms=whole_ms,
        spread=1.2,
        cuts=tuple(map(times, package.manifest.cuts)),
    )


@pytest.fixture(scope="module")
def model(package: Package) -> DeviceModel:
    model = DeviceModel(package, package.networks())
    model.take_profile(profile(package, SLOWNESS))
    return model


@pytest.fixture
def companion(package: Package) -> Companion:
    return companion_of(package, profile(package, 1))


def sent_as(companion: Companion, model: DeviceModel, image: CallImage, mbps: float, **budget: str) -> tuple[str, str]:
    """Cut and codec of the plan."""
    link_is(companion, mbps)
    planned = plan(planner(companion), model, image, **budget)
    return planned.cut, planned.job.codec


@pytest.mark.parametrize("mbps", [1, 5, 20, 100])
def test_a_small_file_travels_as_it_came(companion: Companion, model: DeviceModel, mbps: float) -> None:
    assert sent_as(companion, model, file(0.05, 12), mbps) == ("image", "source")


@pytest.mark.parametrize("mbps", [5, 20])
def test_the_file_of_a_camera_is_made_smaller_first(companion: Companion, model: DeviceModel, mbps: float) -> None:
    cut, codec = sent_as(companion, model, file(12, 4000), mbps)
    assert (cut, codec in JPEG_CODECS) == ("image", True)


def test_on_a_fast_link_a_slow_device_leaves_that_to_the_companion(companion: Companion, model: DeviceModel) -> None:
    assert sent_as(companion, model, file(12, 4000), 1000) == ("image", "source")


@pytest.mark.parametrize("mbps", [5, 20])
def test_a_frame_travels_as_a_jpeg_that_keeps_the_default_fidelity(
    companion: Companion, model: DeviceModel, mbps: float
) -> None:
    link_is(companion, mbps)
    planned = plan(planner(companion), model, FRAME)
    assert planned.job.codec in JPEG_CODECS
    assert planned.row is not None
    assert planned.evaluation.plans.rows[planned.row].fidelity >= PlanningSettings().min_fidelity


def test_a_lower_fidelity_allows_a_smaller_jpeg_and_full_fidelity_none(
    companion: Companion, model: DeviceModel
) -> None:
    _, by_default = sent_as(companion, model, FRAME, 10)
    _, any_jpeg = sent_as(companion, model, FRAME, 10, budget="50%")
    _, lossless = sent_as(companion, model, FRAME, 20, budget="100%")
    sizes = {figures.codec: figures.bytes_median for figures in model.manifest.cuts[0].codecs}
    assert sizes[any_jpeg] < sizes[by_default]
    assert lossless in {"u8", "f32", "none"}
