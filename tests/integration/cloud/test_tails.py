"""Tails: the tensors at a cut go in, the answer comes out, and it is the unsplit network's."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, InvalidTensor, RequestTooLarge, UnknownModel, UnknownPackage
from collabd.catalog.package import package as packages
from collabd.codec import encode

SHIPPED = sorted((Path(__file__).parents[3] / "models").glob("*/package"))

Tensors = dict[str, npt.NDArray[Any]]


def tail(features: Tensors, *outputs: str, codec: str | None = None, **parameters: Any) -> wire.InferRequest:
    inputs = [_tensor(name, array, codec) for name, array in features.items()]
    wanted = [wire.RequestedOutput(name) for name in outputs]
    return wire.InferRequest(inputs, outputs=wanted, parameters={"binary_data_output": True, **parameters})


def _tensor(name: str, array: npt.NDArray[Any], codec: str | None) -> wire.Tensor:
    if codec is None:
        return wire.Tensor.from_array(name, array)
    encoded = encode(array, codec, 1)
    return wire.Tensor(
        name, wire.datatype_of(array.dtype), array.shape, data=encoded.payload, parameters=encoded.parameters
    )


def only(answer: wire.InferResponse) -> npt.NDArray[Any]:
    assert len(answer.outputs) == 1
    return answer.outputs[0].to_array()


async def test_at_every_layer_the_tail_completes_the_head(companion: Any, local: Any, images: Any) -> None:
    manifest = local.package.manifest
    assert max(len(layer.tensors) for layer in manifest.layers) > 1
    for layer in manifest.layers[:-1]:
        features = local.features(images[:3], layer.tensors)
        answer = await companion.infer("branchy", tail(features, digest=local.package.digest))
        np.testing.assert_allclose(only(answer), local.whole(images[:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
async def test_at_every_cut_of_the_shipped_networks_the_tail_completes_the_head(
    start: Any, local_of: Any, path: Path
) -> None:
    package = packages.load(path)
    local, outputs = local_of(package), package.manifest.output_names
    spec = package.manifest.require_picture()
    pixels = np.random.default_rng(3).integers(0, 256, (1, spec.height, spec.width, 3), dtype=np.uint8)
    whole = local.features(pixels, outputs)
    async with start(path.parent) as companion:
        for cut in package.manifest.cuts:
            request = tail(local.features(pixels, cut.tensors), digest=package.digest)
            answer = await companion.infer(package.manifest.name, request)
            assert [tensor.name for tensor in answer.outputs] == list(outputs)
            for tensor in answer.outputs:
                expected = whole[tensor.name]
                np.testing.assert_allclose(tensor.to_array(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("codec", "error"), [("f32", 1e-5), ("f16", 5e-3), ("q8", 5e-2), ("q4", 0.5)])
async def test_features_may_come_encoded(companion: Any, local: Any, images: Any, codec: str, error: float) -> None:
    layer = next(layer for layer in local.package.manifest.layers if len(layer.tensors) > 1)
    features = local.features(images[:1], layer.tensors)
    whole = local.whole(images[:1])
    answer = await companion.infer("branchy", tail(features, codec=codec, digest=local.package.digest))
    assert np.abs(only(answer) - whole).max() <= error * np.abs(whole).max()


@pytest.mark.parametrize(("codec", "error"), [("u8", 1e-5), ("jpeg", 0.3)])
async def test_the_image_cut_has_codecs_of_its_own(
    companion: Any, local: Any, images: Any, codec: str, error: float
) -> None:
    whole = local.whole(images[:1])
    answer = await companion.infer("branchy", tail({"image": images[:1]}, codec=codec))
    assert np.abs(only(answer) - whole).max() <= error * np.abs(whole).max()


async def test_any_tensors_may_be_asked_for_in_any_order(companion: Any, local: Any, images: Any) -> None:
    features = local.features(images[:2], ("pool1",))
    expected = local.run(features, "left.relu", "logits")
    answer = await companion.infer("branchy", tail(features, "logits", "left.relu", digest=local.package.digest))
    assert [output.name for output in answer.outputs] == ["logits", "left.relu"]
    for output in answer.outputs:
        np.testing.assert_allclose(output.to_array(), expected[output.name], rtol=1e-5, atol=1e-6)


async def test_a_tensor_that_is_not_needed_does_no_harm(companion: Any, local: Any, images: Any) -> None:
    features = local.features(images[:1], ("pool1", "pool2"))
    answer = await companion.infer("branchy", tail(features))
    np.testing.assert_allclose(only(answer), local.whole(images[:1]), rtol=1e-4, atol=1e-5)


async def test_nonsense_numbers_are_computed_with(companion: Any, local: Any, images: Any) -> None:
    features = local.features(images[:1], ("pool2",))
    features["pool2"] = np.full_like(features["pool2"], np.nan)
    assert np.isnan(only(await companion.infer("branchy", tail(features)))).all()


POOL1 = np.zeros((1, 8, 8, 8), np.float32)
RIGHT = np.zeros((1, 8, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("features", "outputs", "hint"),
    [
        ({"pool1": POOL1[0]}, (), "[batch, 8, 8, 8]"),
        ({"pool1": POOL1[:, :7]}, (), "[1, 7, 8, 8]"),
        ({"pool1": POOL1[:0]}, (), "[0, 8, 8, 8]"),
        ({"pool1": POOL1.astype(np.float64)}, (), "FP64"),
        ({"pool1": POOL1.repeat(9, axis=0)}, (), "limit of 8"),
        ({"right": RIGHT}, (), "missing"),
        ({"right": RIGHT, "pool1": POOL1.repeat(2, axis=0)}, (), "different batch sizes"),
        ({"nowhere": POOL1}, (), "no tensor 'nowhere'"),
        ({"stem.w": np.zeros((8, 3, 3, 3), np.float32)}, (), "stem.w"),
        ({"pool1": POOL1}, ("nowhere",), "no tensor 'nowhere'"),
        ({"pool1": POOL1}, ("stem",), "cannot be computed"),
        ({"pool1": POOL1}, ("logits", "logits"), "named twice"),
        ({"pool1": POOL1}, ("pool1",), "named twice"),
    ],
)
async def test_what_does_not_fit_the_network_is_refused(
    companion: Any, features: Tensors, outputs: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(InvalidTensor) as refused:
        await companion.infer("branchy", tail(features, *outputs))
    assert hint in str(refused.value)
    assert (await companion.call("GET", "/v2/health/ready"))[0] == 200


@pytest.mark.parametrize(
    "parameters",
    [
        {"codec": "q9"},
        {"codec": 8},
        {"codec": "f32", "zstd": "yes"},
        {"codec": "f32", "zstd": True},
        {"codec": "f32"},
        {"codec": "q8", "channel_axis": 7},
        {"codec": "jpeg"},
        {"codec": "u8"},
    ],
)
async def test_payloads_that_lie_are_refused(companion: Any, parameters: dict[str, Any]) -> None:
    tensor = wire.Tensor("pool1", "FP32", (1, 8, 8, 8), data=b"x" * 999, parameters=parameters)
    with pytest.raises(InvalidTensor, match="pool1"):
        await companion.infer("branchy", wire.InferRequest([tensor]))


async def test_few_bytes_cannot_ask_for_much_memory(start: Any, package: Any) -> None:
    features = encode(np.zeros((8, 8, 16, 16), np.float32), "f32")
    tensors = [
        wire.Tensor(name, "FP32", (1024, 8, 16, 16), data=features.payload, parameters=features.parameters)
        for name in ("stem", "stem.relu")
    ]
    async with start(package.path.parent, server={"max_request_mb": 1}) as companion:
        with pytest.raises(RequestTooLarge):
            await companion.infer("branchy", wire.InferRequest(tensors))


async def test_model_and_digest_must_be_held_and_belong_together(companion: Any, local: Any, images: Any) -> None:
    features = local.features(images[:1], ("pool1",))
    with pytest.raises(UnknownModel, match="branchy"):
        await companion.infer("none", tail(features))
    with pytest.raises(UnknownPackage):
        await companion.infer("branchy", tail(features, digest="sha256:" + "0" * 64))
    with pytest.raises(InvalidRequest, match="branchy"):
        await companion.infer("other", tail(features, digest=local.package.digest))
    with pytest.raises(InvalidRequest, match="digest"):
        await companion.infer("branchy", tail(features, digest=3))
