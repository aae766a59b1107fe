"""Whole-network requests, from clients that know nothing of us."""

import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.http.aio as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from collab_sdk import wire
from collab_sdk.errors import InvalidImage, InvalidTensor
from collabd.imaging import prepare

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
async def client(companion: Any) -> Any:
    async with triton.InferenceServerClient(companion.address.removeprefix("http://")) as client:
        yield client


def scores(reply: Any) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = reply.as_numpy("logits")
    return found


async def ask(client: Any, image: Pixels, *, binary: bool, **options: Any) -> Any:
    tensor = triton.InferInput("image", list(image.shape), "UINT8")
    tensor.set_data_from_numpy(image, binary_data=binary)
    outputs = [triton.InferRequestedOutput("logits", binary_data=binary)]
    return await client.infer("branchy", [tensor], outputs=outputs, **options)


async def test_a_standard_client_finds_its_way(client: Any) -> None:
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("branchy")
    assert (await client.get_server_metadata())["name"] == "collab-cloudd"
    assert [entry["name"] for entry in await client.get_model_repository_index()] == ["branchy"]
    metadata = await client.get_model_metadata("branchy")
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 16, 16, 3]}]
    assert metadata["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}]
    assert metadata["parameters"]["scores"] == "logits"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("count", [1, 5])
async def test_a_standard_client_gets_the_right_answer(
    client: Any, local: Any, images: Pixels, binary: bool, count: int
) -> None:
    reply = await ask(client, images[:count], binary=binary)
    np.testing.assert_allclose(scores(reply), local.whole(images[:count]), rtol=1e-5, atol=1e-6)


async def test_a_standard_client_may_ask_for_classes_and_say_what_we_ignore(
    client: Any, local: Any, images: Pixels
) -> None:
    tensor = triton.InferInput("image", list(images[:2].shape), "UINT8")
    tensor.set_data_from_numpy(images[:2])
    outputs = [triton.InferRequestedOutput("logits", class_count=2)]
    reply = await client.infer(
        "branchy",
        [tensor],
        outputs=outputs,
        request_id="a",
        sequence_id=5,
        sequence_start=True,
        priority=1,
        timeout=10**6,
    )
    assert reply.get_response()["id"] == "a"
    got = [[text.decode().split(":")[1:] for text in row] for row in reply.as_numpy("logits")]
    best = np.argsort(-local.whole(images[:2]), axis=1)[:, :2]
    assert got == [[[str(i), ("circle", "square", "star")[i]] for i in row] for row in best]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_a_standard_client_may_compress(client: Any, local: Any, images: Pixels, algorithm: str) -> None:
    reply = await ask(client, images[:1], binary=True, request_compression_algorithm=algorithm)
    np.testing.assert_allclose(scores(reply), local.whole(images[:1]), rtol=1e-5, atol=1e-6)


async def test_a_standard_client_reads_our_errors(client: Any, images: Pixels) -> None:
    with pytest.raises(InferenceServerException, match="branchy") as refused:
        await client.get_model_metadata("none")
    assert refused.value.status() == "404"
    tensor = triton.InferInput("picture", list(images[:1].shape), "UINT8")
    tensor.set_data_from_numpy(images[:1])
    with pytest.raises(InferenceServerException, match="no tensor 'picture'"):
        await client.infer("branchy", [tensor])


async def test_curl_gets_the_right_answer(companion: Any, local: Any, images: Pixels) -> None:
    body = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": images[:1].tolist()}]}
    status, answer = await companion.call("POST", "/v2/models/branchy/infer", json.dumps(body).encode())
    assert status == 200
    output = json.loads(answer)["outputs"][0]
    assert output["shape"] == [1, 3]
    np.testing.assert_allclose(output["data"], local.whole(images[:1])[0], rtol=1e-5, atol=1e-6)


def encoded(image: Pixels, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind)
    return out.getvalue()


async def test_images_of_any_kind_and_size_are_prepared_here(
    companion: Any, local: Any, images: Pixels, package: Any
) -> None:
    large = images[3].repeat(8, axis=0).repeat(6, axis=1)
    for tensor, image in (
        (wire.Tensor.from_bytes_list("image", [encoded(images[3], "PNG")]), images[3]),
        (wire.Tensor.from_bytes_list("image", [encoded(large, "PNG")]), large),
        (wire.Tensor.from_array("image", images[3]), images[3]),
        (wire.Tensor.from_array("image", large), large),
        (wire.Tensor.from_array("image", large[np.newaxis]), large),
        (wire.Tensor.from_array("image", large[..., ::-1], {"channels": "bgr"}), large),
        (wire.Tensor.from_array("image", images[3:4, ..., ::-1], {"channels": "bgr"}), images[3]),
        (wire.Tensor.from_array("image", large[..., [2, 1, 0, 0]], {"channels": "bgrx"}), large),
        (wire.Tensor.from_array("image", large[..., 0], {"channels": "grey"}), large[..., [0, 0, 0]]),
    ):
        answer = await companion.infer("branchy", wire.InferRequest([tensor]))
        expected = local.whole(prepare(image, package.manifest.require_picture()))
        np.testing.assert_allclose(answer.outputs[0].to_array(), expected, rtol=1e-5, atol=1e-6)


async def test_a_standard_client_says_what_its_pixels_are(client: Any, local: Any, images: Pixels) -> None:
    reply = await ask(client, images[:1, ..., ::-1].copy(), binary=True, parameters={"channels": "bgr"})
    np.testing.assert_allclose(scores(reply), local.whole(images[:1]), rtol=1e-5, atol=1e-6)


async def test_replies_say_what_they_took(companion: Any, images: Pixels, package: Any) -> None:
    request = wire.InferRequest([wire.Tensor.from_array("image", images[:2])], id="a1")
    answer = await companion.infer("branchy", request)
    took = answer.parameters
    assert answer.id == "a1"
    assert (took["digest"], took["batch"]) == (package.digest, 2)
    assert took["compute_ms"] > 0
    assert took["decode_ms"] > 0
    assert took["queue_ms"] >= 0
    assert 0 <= took["load"] <= 1
    assert took["slowdown"] >= 1


@pytest.mark.parametrize(
    ("tensor", "error", "hint"),
    [
        (wire.Tensor.from_bytes_list("image", [b"no image at all"]), InvalidImage, ""),
        (wire.Tensor.from_bytes_list("image", [b""]), InvalidImage, ""),
        (wire.Tensor.from_bytes_list("image", [b"\xff\xd8\xff\xe0" + bytes(100)]), InvalidImage, ""),
        (wire.Tensor.from_bytes_list("image", [b"", b""]), InvalidTensor, "one encoded image"),
        (wire.Tensor.from_array("image", np.zeros((2, 9, 9, 3), np.uint8)), InvalidTensor, "16 x 16"),
        (wire.Tensor.from_array("image", np.zeros((0, 16, 16, 3), np.uint8)), InvalidTensor, "[0, 16, 16, 3]"),
        (wire.Tensor.from_array("image", np.zeros((0, 9, 3), np.uint8)), InvalidTensor, ""),
        (wire.Tensor.from_array("image", np.zeros((16, 16, 4), np.uint8)), InvalidTensor, '"bgrx" if blue comes first'),
        (
            wire.Tensor.from_array("image", np.zeros((2, 16, 16, 3), np.uint8), {"channels": "bgr"}),
            InvalidTensor,
            "RGB",
        ),
        (wire.Tensor.from_array("image", np.zeros((9, 9, 3), np.uint8), {"channels": "rgba"}), InvalidTensor, "rgbx"),
        (wire.Tensor.from_array("image", np.zeros(16, np.uint8)), InvalidTensor, ""),
        (wire.Tensor.from_array("image", np.zeros((1, 16, 16, 3), np.float32)), InvalidTensor, "UINT8"),
        (wire.Tensor.from_array("image", np.zeros((9, 16, 16, 3), np.uint8)), InvalidTensor, "limit of 8"),
    ],
)
async def test_what_is_no_image_is_refused(companion: Any, tensor: wire.Tensor, error: type, hint: str) -> None:
    with pytest.raises(error) as refused:
        await companion.infer("branchy", wire.InferRequest([tensor]))
    assert hint in str(refused.value)
    assert refused.value.http_status == 400  # type: ignore[attr-defined]
