"""What an application gets of each task, through the SDK and both daemons."""

from __future__ import annotations

import io
from collections.abc import Callable

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from collab_sdk import InvalidImage, InvalidTensor, RawOutputs, Result, WrongTask
from collab_sdk.drawing import colour_of
from collab_sdk.image import Tensors
from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Segment
from collabd.catalog.package.manifest import Tensors as TensorsTask
from collabd.catalog.package.package import Package, write
from tests.integration.device.conftest import Bench, Factory
from tests.task_networks import BOXES, CLASSES, GROUND, package_of

COLOURS = ((0, 0, 0), (250, 0, 0), (0, 250, 0), (0, 0, 250))
MANY = 8192


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(8).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST))


def adder() -> onnx.ModelProto:
    """`flags` uint8 [1, 3] and `signal` float32 [1, MANY] to `sum` of both, the flags by their largest."""
    nodes = [
        helper.make_node("Cast", ["flags"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["numbers"], ["largest"], keepdims=1),
        helper.make_node("Relu", ["signal"], ["positive"]),
        helper.make_node("Add", ["positive", "largest"], ["sum"]),
    ]
    inputs = [
        helper.make_tensor_value_info("flags", TensorProto.UINT8, [1, 3]),
        helper.make_tensor_value_info("signal", TensorProto.FLOAT, [1, MANY]),
    ]
    graph = helper.make_graph(nodes, "adder", inputs, [helper.make_tensor_value_info("sum", 1, [1, MANY])])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture
def tiny_package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Package:
    kind, out = request.param, tmp_path_factory.mktemp("packages") / "tiny"
    if kind == "adder":
        return build(
            adder(), name="tiny", task=TensorsTask(), picture=None, licence="CC0-1.0", provenance="made here", out=out
        )
    package = package_of(kind, out)
    if kind != "segment":
        return package
    manifest = msgspec.structs.replace(package.manifest, task=Segment(classes=GROUND, palette=COLOURS))
    model = (package.path / "model.onnx").read_bytes()
    return write(out.with_name("coloured"), manifest, model=model, licence="CC0-1.0")


def of(kind: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    return pytest.mark.parametrize("tiny_package", [kind], indirect=True, ids=[kind])


async def in_every_way(it: Bench, photo: np.ndarray) -> list[Result]:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    ways = (photo, file.getvalue(), Image.fromarray(photo))
    return [await it.client.infer(image, cut=cut, fallback="fail") for image in ways for cut in ("image", "output")]


@of("detect")
async def test_a_detector(bench: Factory) -> None:
    photo = picture(70, 100)
    async with bench() as it:
        first, *others = await in_every_way(it, photo)
        found = first.detections
        assert (first.task, first.image_width, first.image_height, first.labels) == ("detect", 100, 70, CLASSES)
        assert 2 < len(found) < BOXES
        assert (np.diff(found.confidence) <= 0).all()
        assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
        for other in others:
            np.testing.assert_allclose(other.detections.xyxy, found.xyxy, atol=1e-3)
            assert other.detections.class_name == found.class_name

        raw = await it.client.infer(photo, raw=True)
        assert {name: array.shape for name, array in raw.outputs.items()} == {
            "boxes": (1, BOXES, 4),
            "scores": (1, BOXES),
            "classes": (1, BOXES),
        }
        with pytest.raises(WrongTask, match="a detector's answer"):
            _ = first.label
        drawn = np.asarray(first.draw(photo))
        seen = found[(found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1) > 2][0]
        x1, _, x2, y2 = seen.xyxy
        # The picture is small, so it is drawn four times as large.
        bottom = drawn[round(y2 * 4) - 1, round((x1 + x2) / 2 * 4)]
        assert tuple(bottom) in {colour_of(number, None) for number in range(len(CLASSES))}
        with pytest.raises(InvalidImage):
            first.draw(picture(60, 90))


@of("segment")
async def test_a_segmenter(bench: Factory) -> None:
    photo = picture(90, 60)
    async with bench() as it:
        first, *others = await in_every_way(it, photo)
        assert (first.mask.shape, first.mask.dtype.name) == ((90, 60), "uint8")
        shares = dict(first.shares())
        assert sum(shares.values()) == pytest.approx(1)
        assert shares.keys() <= set(GROUND)
        for number, name in enumerate(GROUND):
            assert shares.get(name, 0) == pytest.approx(float((first.mask == number).mean()))
        for other in others:
            np.testing.assert_array_equal(other.mask, first.mask)
        assert not isinstance(first.answer, RawOutputs)
        black = np.asarray(first.draw(np.zeros_like(photo)))[-1, -1]
        assert int(np.argmax(black)) == int(np.argmax(COLOURS[first.mask[-1, -1]]))


@of("tensors")
async def test_tensors_by_name(bench: Factory) -> None:
    signal, gain = np.linspace(-1, 1, 16, dtype=np.float32)[np.newaxis], np.array([[3]], np.int32)
    async with bench() as it:
        results = [
            await it.client.infer({"signal": signal, "gain": gain}),
            await it.client.infer({"gain": gain, "signal": signal}, cut="output"),
        ]
        for result in results:
            assert {name: array.shape for name, array in result.outputs.items()} == {"early": (1, 4), "late": (1, 8)}
        doubled = await it.client.infer({"signal": signal, "gain": 2 * gain})
        np.testing.assert_allclose(doubled.outputs["late"], 2 * results[0].outputs["late"], rtol=1e-5)
        with pytest.raises(InvalidTensor):
            await it.client.infer({"signal": signal})
        with pytest.raises(InvalidTensor):
            await it.client.infer(picture(90, 60))


@of("adder")
async def test_large_tensors_share_one_region_of_memory(bench: Factory) -> None:
    signal, flags = np.linspace(-1, 1, MANY, dtype=np.float32)[np.newaxis], np.array([[1, 7, 2]], np.uint8)
    async with bench(cloud=False) as it:
        ways: list[Tensors] = [{"flags": flags, "signal": signal}, {"signal": signal, "flags": flags}]
        for tensors in ways:
            result = await it.client.infer(tensors)
            np.testing.assert_allclose(result.outputs["sum"], np.maximum(signal, 0) + 7, rtol=1e-6)
        regions = it.client._client._regions
        assert regions is not None
        assert [region.size for region in regions._free] == [4 * MANY + 3]
