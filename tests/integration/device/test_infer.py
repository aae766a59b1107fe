"""infer(image, budget) through both daemons: right answers, honest provenance, the planner's choice."""

from __future__ import annotations

import asyncio
import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collab_sdk import Budget, BudgetInfeasible
from collab_sdk.channels import Channels
from tests.integration.device.conftest import Factory
from tests.slowed import SLOWER_THAN_AN_EXCHANGE, slowed


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


async def test_alone(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        for image in it.images[:10]:
            result = await it.client.infer(image)
            np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)
            assert result.ran == result.plan.placement == "D" * len(it.package.manifest.layers)
            assert (result.plan.cut, result.plan.cloud, result.bytes_up) == ("output", None, 0)
            assert result.budget_met
            assert not result.degraded
            assert result.fidelity == 1.0


async def test_every_way_to_give_an_image(bench: Factory, tmp_path: Path) -> None:
    async with bench(cloud=False) as it:
        image = it.images[3]
        (tmp_path / "it.png").write_bytes(png(image))
        for given in (image, png(image), tmp_path / "it.png", str(tmp_path / "it.png"), Image.fromarray(image)):
            result = await it.client.infer(given, model="tiny")
            np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)


async def test_a_turned_picture_of_sixteen_bits_is_the_same_in_every_way(bench: Factory, tmp_path: Path) -> None:
    async with bench(cloud=False) as it:
        exif = Image.Exif()
        exif[0x0112] = 3
        grey = it.images[3][..., 0]
        path = tmp_path / "it.png"
        Image.fromarray(grey[::-1, ::-1].astype(np.uint16) * 257).save(path, exif=exif)
        expected = it.reference(np.repeat(grey[..., np.newaxis], 3, axis=2))
        for given in (path, path.read_bytes(), Image.open(path)):
            result = await it.client.infer(given)
            np.testing.assert_allclose(result.scores, expected, atol=1e-5)


async def test_a_camera_may_give_its_colours_in_any_order(bench: Factory) -> None:
    async with bench() as it:
        image = it.images[3]
        four = np.dstack([image[..., ::-1], np.zeros_like(image[..., 0])])
        frames: list[tuple[np.ndarray, Channels]] = [
            (image[..., ::-1], Channels.BGR),
            (four, Channels.BGRX),
            (four[..., [2, 1, 0, 3]], Channels.RGBX),
        ]
        for frame, channels in frames:
            for cut in ("image", "output"):
                result = await it.client.infer(frame, channels=channels, cut=cut, fallback="fail")
                np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)


async def test_every_layer_is_a_cut_and_lossless_at_f32(bench: Factory) -> None:
    async with bench() as it:
        layers = it.package.manifest.layers
        for head, name in enumerate(("image", *(layer.name for layer in layers[:-1]))):
            result = await it.client.infer(it.images[0], cut=name, fallback="fail")
            np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
            assert result.ran == "D" * head + "C" * (len(layers) - head)
            assert result.fidelity == 1.0
            assert result.plan.reason == "fixed"
            assert result.bytes_up > 0
            assert result.measured.upload_ms is not None


async def test_any_placement_with_any_number_of_crossings(bench: Factory) -> None:
    async with bench() as it:
        rng = random.Random(5)
        for _ in range(12):
            placement = "".join(rng.choice("DC") for _ in it.package.manifest.layers)
            result = await it.client.infer(it.images[1], placement=placement, fallback="fail")
            np.testing.assert_allclose(result.scores, it.reference(it.images[1]), atol=1e-5)
            assert result.ran == placement


@pytest.mark.parametrize("codec", ["f16", "q8"])
async def test_lossy_codecs_come_close_and_say_how_close(bench: Factory, codec: str) -> None:
    async with bench() as it:
        cut = it.package.manifest.cuts[1]
        expected = {figures.codec: figures.fidelity for figures in cut.codecs}[codec]
        for image in it.images[:10]:
            result = await it.client.infer(image, cut=cut.name, codec=codec, fallback="fail")
            np.testing.assert_allclose(result.scores, it.reference(image), atol=0.05)
            assert result.fidelity == expected


async def test_the_image_cut(bench: Factory) -> None:
    async with bench() as it:
        image = it.images[2]
        raw = await it.client.infer(image, cut="image", fallback="fail")
        file = await it.client.infer(png(image), cut="image", codec="source", fallback="fail")
        jpeg = await it.client.infer(image, cut="image", codec="jpeg", fallback="fail")
        for lossless in (raw, file):
            np.testing.assert_allclose(lossless.scores, it.reference(image), atol=1e-5)
            assert lossless.fidelity == 1.0
        assert raw.plan.codec == "u8"
        assert file.measured.prep_ms is None  # the file travelled as it came
        assert jpeg.fidelity is not None
        assert jpeg.fidelity < 1.0


async def test_a_slow_device_sends_its_work_away(bench: Factory) -> None:
    async with bench(**SLOWER_THAN_AN_EXCHANGE) as it:
        for image in it.images[:8]:
            result = await it.client.infer(image, "100%")
            np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)
        assert result.plan.cloud == "pc"
        assert "C" in result.ran
        assert result.plan.reason in {"chosen", "kept"}
        assert result.cost >= 0.01
        assert result.predicted.cost == pytest.approx(result.cost, rel=0.1)
        measured = result.measured
        parts = (measured.prep_ms, measured.head_ms, measured.encode_ms, measured.upload_ms, measured.queue_ms)
        remote = (measured.decode_ms, measured.tail_ms)
        assert measured.local_tail_ms is None
        assert sum(filter(None, parts + remote)) <= (measured.latency_ms or 0)
        assert result.energy_source == "modelled"


async def test_caps_steer_the_choice(bench: Factory) -> None:
    async with bench(**SLOWER_THAN_AN_EXCHANGE) as it:
        image = it.images[0]
        assert (await it.client.infer(image)).plan.cloud == "pc"
        free = await it.client.infer(image, 0)
        assert (free.plan.cut, free.cost) == ("output", 0.0)
        stays = await it.client.infer(image, fallback="never-leave")
        assert (stays.plan.cut, stays.bytes_up) == ("output", 0)


async def test_a_budget_that_nothing_fits(bench: Factory) -> None:
    async with bench(**SLOWER_THAN_AN_EXCHANGE) as it:
        result = await it.client.infer(it.images[0], "1us")
        assert result.plan.reason == "nearest"
        assert result.unmet == ("latency",)
        assert not result.budget_met
        with pytest.raises(BudgetInfeasible, match="misses latency") as caught:
            await it.client.infer(it.images[0], Budget(latency_ms=0.001), on_infeasible="fail")
        assert caught.value.details["latency_ms"] > 0.001
        assert (await it.client.status())["requests"]["failed"] == 1


async def test_a_companion_without_the_package_is_sent_it(bench: Factory) -> None:
    async with bench(pushed=True) as it:
        result = await it.client.infer(it.images[0], cut="image", fallback="fail")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)


async def test_concurrent_calls_do_not_mix(bench: Factory) -> None:
    async with bench(**slowed(300)) as it:
        results = await asyncio.gather(*(it.client.infer(image, "100%") for image in it.images))
        for image, result in zip(it.images, results, strict=True):
            np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)
