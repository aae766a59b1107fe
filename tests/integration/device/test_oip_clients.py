"""Triton's own client, which knows nothing of collabd, through a door over TCP."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio as triton
from aiohttp import ClientSession, UnixConnector
from PIL import Image
from tritonclient.utils import InferenceServerException

from collabd.catalog.package.manifest import Picture
from collabd.catalog.package.package import Package, load, write
from collabd.keys.tokens import line, new_token
from tests.integration.device.conftest import Bench, Factory
from tests.integration.device.test_oip_door import door
from tests.task_networks import package_of

MODELS = Path(__file__).parents[3] / "models"
PHOTOS = MODELS / "samples" / "objects"


@contextlib.asynccontextmanager
async def triton_at(bench: Factory, settings: str = "", **made: Any) -> AsyncIterator[tuple[Bench, Any, str]]:
    """The bench, a client of its door, and where that is; `made` is for the bench."""
    doors, url = door()
    async with (
        bench(doors + settings, **made) as it,
        triton.InferenceServerClient(url.removeprefix("http://")) as client,
    ):
        yield it, client, url.removeprefix("http://")


def pixels(array: np.ndarray, name: str = "image") -> Any:
    datatype = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32"}[str(array.dtype)]
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def files(*contents: bytes) -> Any:
    tensor = triton.InferInput("image", [len(contents)], "BYTES")
    tensor.set_data_from_numpy(np.array(contents, object))
    return tensor


def png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def as_floats(images: np.ndarray) -> np.ndarray:
    """As Ultralytics sends pictures: RGB in 0..1, the colours first."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)


async def test_what_is_there_is_listed_and_what_is_not_is_refused_in_words(bench: Factory) -> None:
    async with triton_at(bench) as (_, client, _):
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("tiny")
        assert await client.is_model_ready("tiny", "1")
        listed = (await client.get_server_metadata())["extensions"]
        assert listed == ["binary_tensor_data", "classification", "model_configuration", "parameters", "statistics"]
        assert [(each["name"], each["state"]) for each in await client.get_model_repository_index()] == [
            ("tiny", "READY")
        ]
        refused = {
            client.get_trace_settings(): "not traced",
            client.get_trace_settings("tiny"): "not traced",
            client.get_log_settings(): "journal",
            client.update_log_settings({"log_info": True}): "journal",
            client.get_cuda_shared_memory_status(): "no CUDA",
            client.register_cuda_shared_memory("a", b"x", 0, 8): "no CUDA",
            client.get_system_shared_memory_status(): "Unix socket",
            client.register_system_shared_memory("a", "/a", 8): "Unix socket",
            client.load_model("tiny"): "administrators",
            client.unload_model("tiny"): "administrators",
        }
        for asked, why in refused.items():
            with pytest.raises(InferenceServerException, match=why):
                await asked


async def test_the_configuration_fits_what_the_network_takes(bench: Factory, tiny_images: list[np.ndarray]) -> None:
    async with triton_at(bench) as (it, client, _):
        config = await client.get_model_config("tiny")
        assert (config["name"], config["backend"], config["max_batch_size"]) == ("tiny", "onnxruntime", 32)
        assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [3, 16, 16]}]
        assert config["output"] == [{"name": "scores", "data_type": "TYPE_FP32", "dims": [3]}]
        metadata = ast.literal_eval(config["parameters"]["metadata"]["string_value"])
        assert metadata["names"] == dict(enumerate(it.package.manifest.labels))
        assert (metadata["imgsz"], metadata["stride"], metadata["task"]) == ([16, 16], 16, "classify")
        images = np.stack(tiny_images[:3])
        reply = await client.infer("tiny", [pixels(as_floats(images))])
        assert reply.as_numpy("scores").shape == (3, *config["output"][0]["dims"])


@pytest.mark.parametrize("binary", [True, False])
async def test_several_pictures_are_answered_in_their_order(
    bench: Factory, tiny_images: list[np.ndarray], binary: bool
) -> None:
    images = np.stack(tiny_images[:5])
    async with triton_at(bench) as (it, client, _):
        expected = np.stack([it.reference(image) for image in images])
        outputs = [triton.InferRequestedOutput("scores", binary_data=binary)]
        for tensor in (pixels(images), files(*map(png, images)), pixels(as_floats(images))):
            reply = await client.infer("tiny", [tensor], outputs=outputs, request_id="7")
            np.testing.assert_allclose(reply.as_numpy("scores"), expected, atol=2e-3)
            said = reply.get_response()
            assert (said["id"], said["model_version"], said["parameters"]["items"]) == ("7", "1", 5)
        top = await client.infer(
            "tiny", [pixels(images)], outputs=[triton.InferRequestedOutput("scores", class_count=2)]
        )
        found = top.as_numpy("scores")
        assert found.shape == (5, 2)
        labels = it.package.manifest.labels
        assert [row[0].decode().rsplit(":", 1)[1] for row in found] == [labels[i] for i in expected.argmax(axis=1)]
        (told,) = (await client.get_inference_statistics("tiny"))["model_stats"]
        assert told["inference_stats"]["success"]["count"] == told["inference_count"] == 20


async def test_an_error_says_which_item_it_is_about(bench: Factory, tiny_images: list[np.ndarray]) -> None:
    good = png(tiny_images[0])
    refused = {
        "item 1 of 3: .*not an image|item 1 of 3: ": [files(good, b"no picture", good)],
        "33 items, and may have 32": [files(*[good] * 33)],
        "there is no output 'boxes'": [pixels(np.stack(tiny_images[:2]))],
        "RGB in 0..1, and a value is outside": [pixels(as_floats(np.stack(tiny_images[:1])) * 255)],
        r"its shape is \[1, 3, 16, 16\]": [pixels(np.zeros((1, 3, 8, 8), np.float32))],
        "value is outside": [pixels(np.full((1, 3, 16, 16), np.nan, np.float32))],
    }
    async with triton_at(bench) as (it, client, _):
        for why, tensors in refused.items():
            outputs = [triton.InferRequestedOutput("boxes")] if "no output" in why else None
            with pytest.raises(InferenceServerException, match=why):
                await client.infer("tiny", tensors, outputs=outputs)
        (report,) = await it.client.doors()
        assert report["failed"] == report["calls"] == len(refused)


async def test_the_networks_own_outputs_are_had_by_name(bench: Factory, tiny_images: list[np.ndarray]) -> None:
    images = np.stack(tiny_images[:2])
    async with triton_at(bench) as (it, client, _):
        expected = np.stack([it.reference(image) for image in images])
        reply = await client.infer("tiny", [pixels(images)], outputs=[triton.InferRequestedOutput("logits")])
        logits = reply.as_numpy("logits")
        assert logits.shape == (2, 3)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), expected, atol=2e-3)


async def test_a_picture_that_is_the_input_is_not_cropped(
    bench: Factory, tiny_package: Package, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    crop = Picture(height=16, width=16, rule="crop", resize_shorter=24)
    manifest = msgspec.structs.replace(tiny_package.manifest, picture=crop)
    package = write(
        tmp_path / "crop", manifest, model=(tiny_package.path / "model.onnx").read_bytes(), licence="CC0-1.0"
    )
    async with triton_at(bench, package=package) as (it, client, _):
        reply = await client.infer("tiny", [pixels(as_floats(tiny_images[0][np.newaxis]))])
        np.testing.assert_allclose(reply.as_numpy("scores")[0], it.reference(tiny_images[0]), atol=2e-3)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_a_body_may_be_compressed(bench: Factory, tiny_images: list[np.ndarray], algorithm: str) -> None:
    async with triton_at(bench) as (it, client, url):
        reply = await client.infer("tiny", [pixels(tiny_images[0])], request_compression_algorithm=algorithm)
        np.testing.assert_allclose(reply.as_numpy("scores")[0], it.reference(tiny_images[0]), atol=2e-3)

        def blocking() -> Any:
            with tritonclient.http.InferenceServerClient(url) as other:
                tensor = tritonclient.http.InferInput("image", [16, 16, 3], "UINT8")
                tensor.set_data_from_numpy(tiny_images[0])
                return other.infer(
                    "tiny",
                    [tensor],
                    request_compression_algorithm=algorithm,
                    response_compression_algorithm=algorithm,
                    timeout=10_000_000,
                    parameters={"budget": "5s"},
                ).as_numpy("scores")

        np.testing.assert_allclose((await asyncio.to_thread(blocking))[0], it.reference(tiny_images[0]), atol=2e-3)


async def test_statistics_only_grow_and_add_up(bench: Factory, tiny_images: list[np.ndarray]) -> None:
    async with triton_at(bench) as (_, client, _):
        before = (await client.get_inference_statistics())["model_stats"]
        assert [(each["name"], each["inference_count"], each["last_inference"]) for each in before] == [("tiny", 0, 0)]
        await client.infer("tiny", [pixels(tiny_images[0])])
        with pytest.raises(InferenceServerException):
            await client.infer("tiny", [pixels(np.zeros((2, 2), np.uint8))])
        (after,) = (await client.get_inference_statistics("tiny", "1"))["model_stats"]
        taken = after["inference_stats"]
        assert (taken["success"]["count"], taken["fail"]["count"]) == (1, 1)
        assert taken["success"]["ns"] > 0
        assert after["last_inference"] > 1.7e12
        parts = sum(taken[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output"))
        assert taken["compute_infer"]["ns"] > 0
        assert parts >= taken["success"]["ns"]
        with pytest.raises(InferenceServerException, match="no model 'none'"):
            await client.get_inference_statistics("none")


async def test_the_doors_own_budget_holds_for_calls_that_state_none(
    bench: Factory, tiny_images: list[np.ndarray]
) -> None:
    settings, url = door(budget="0.001ms", model="tiny")
    async with bench(settings), triton.InferenceServerClient(url.removeprefix("http://")) as client:
        missed = {
            stated: (await client.infer(name, [pixels(tiny_images[0])], **asked)).get_response()["parameters"]["unmet"]
            for stated, name, asked in (
                ("nothing", "_default", {}),
                ("a budget", "tiny", {"parameters": {"budget": "60s"}}),
                ("a timeout", "tiny", {"timeout": 60_000_000}),
            )
        }
        assert missed == {"nothing": "latency", "a budget": "", "a timeout": ""}


async def test_only_administrators_of_the_door_unload_and_load(
    bench: Factory, tmp_path: Path, tiny_images: list[np.ndarray]
) -> None:
    owned = {name: new_token() for name in ("boss", "camera")}
    tokens = tmp_path / "door.tokens"
    tokens.write_text("".join(line(name, token) for name, token in owned.items()))
    tokens.chmod(0o400)
    settings, url = door(token_file=str(tokens))
    as_boss, as_camera = ({"Authorization": f"Bearer {owned[name]}"} for name in ("boss", "camera"))
    async with (
        bench(f'{settings}administrators = ["boss"]\n') as it,
        triton.InferenceServerClient(url.removeprefix("http://")) as client,
    ):
        assert "model_repository" in (await client.get_server_metadata(headers=as_camera))["extensions"]
        for change in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="administrators"):
                await change("tiny", headers=as_camera)
        await client.unload_model("tiny", headers=as_boss, unload_dependents=True)
        for asked in (
            client.infer("tiny", [pixels(tiny_images[0])], headers=as_camera),
            client.get_model_config("tiny", headers=as_camera),
            client.unload_model("tiny", headers=as_boss),
        ):
            with pytest.raises(InferenceServerException, match="tiny was unloaded"):
                await asked
        assert not await client.is_model_ready("tiny", headers=as_camera)
        index = await client.get_model_repository_index(headers=as_camera)
        assert index == [{"name": "tiny", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}]
        with pytest.raises(InferenceServerException, match="without config"):
            await client.load_model("tiny", headers=as_boss, config="{}")
        with pytest.raises(InferenceServerException, match=r"without config, file:1/model\.onnx"):
            await client.load_model("tiny", headers=as_boss, config="{}", files={"file:1/model.onnx": b"x"})
        with pytest.raises(InferenceServerException, match="no model 'other'"):
            await client.load_model("other", headers=as_boss)
        await client.load_model("tiny", headers=as_boss)
        await client.load_model("tiny", headers=as_boss)
        reply = await client.infer("tiny", [pixels(tiny_images[0])], headers=as_camera)
        np.testing.assert_allclose(reply.as_numpy("scores")[0], it.reference(tiny_images[0]), atol=2e-3)


async def test_a_package_is_read_again_when_it_is_loaded(bench: Factory, tmp_path: Path) -> None:
    here, renamed = tmp_path / "packages" / "tiny", tmp_path / "renamed"
    async with bench() as it, ClientSession(connector=UnixConnector(str(it.socket))) as session:
        manifest = msgspec.structs.replace(it.package.manifest, provenance="made anew")
        write(renamed, manifest, model=(it.package.path / "model.onnx").read_bytes(), licence="CC0-1.0")
        before = (await (await session.get("http://d/v2/models/tiny")).json())["parameters"]["digest"]
        shutil.rmtree(here)
        renamed.rename(here)
        for action in ("load", "unload", "load"):
            async with session.post(f"http://d/v2/repository/models/tiny/{action}") as reply:
                assert (reply.status, await reply.read()) == (200, b"")
        after = (await (await session.get("http://d/v2/models/tiny")).json())["parameters"]["digest"]
        assert after != before
        async with session.post("http://d/v2/repository/index", data=b'{"ready": true}') as reply:
            assert [entry["name"] for entry in await reply.json()] == ["tiny"]


async def test_metrics_count_the_doors_and_need_its_key(
    bench: Factory, tmp_path: Path, tiny_images: list[np.ndarray]
) -> None:
    token = new_token()
    tokens = tmp_path / "door.tokens"
    tokens.write_text(line("prometheus", token))
    tokens.chmod(0o400)
    settings, url = door(token_file=str(tokens))
    host, headers = url.removeprefix("http://"), {"Authorization": f"Bearer {token}"}
    async with bench(settings), triton.InferenceServerClient(host) as client, ClientSession() as session:
        await client.infer("tiny", [pixels(tiny_images[0])], headers=dict(headers))
        with pytest.raises(InferenceServerException):
            await client.infer("none", [pixels(tiny_images[0])], headers=dict(headers))
        async with session.get(f"{url}/metrics") as reply:
            assert reply.status == 401
        async with session.get(f"{url}/metrics", headers=headers) as reply:
            assert reply.status == 200
            told = await reply.text()
    for expected in (
        f'collabd_door_calls_total{{address="{url}",kind="oip"}} 2.0',
        f'collabd_door_failed_total{{address="{url}",kind="oip"}} 1.0',
        'collabd_companion_up{companion="pc"} 1.0',
        "collabd_fidelity_count 1.0",
    ):
        assert expected in told


async def test_sets_of_tensors_are_answered_in_their_order(bench: Factory, tmp_path: Path) -> None:
    given = {
        "signal": np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 16),
        "gain": np.array([[1], [2], [3]], np.int32),
    }
    async with triton_at(bench, package=package_of("tensors", tmp_path / "made")) as (_, client, _):
        together = await client.infer("tiny", [pixels(array, name) for name, array in given.items()])
        alone = [
            await client.infer("tiny", [pixels(array[i : i + 1], name) for name, array in given.items()])
            for i in range(3)
        ]
        for output in (await client.get_model_config("tiny"))["output"]:
            name = output["name"]
            assert list(together.as_numpy(name).shape) == [3, *output["dims"]]
            np.testing.assert_array_equal(
                together.as_numpy(name), np.concatenate([each.as_numpy(name) for each in alone])
            )


async def test_masks_of_several_pictures_have_one_size(bench: Factory, tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 255, (3, 40, 56, 3), dtype=np.uint8)
    async with triton_at(bench, package=package_of("segment", tmp_path / "made")) as (_, client, _):
        together = (await client.infer("tiny", [pixels(images)])).as_numpy("mask")
        alone = [(await client.infer("tiny", [pixels(image)])).as_numpy("mask") for image in images]
        np.testing.assert_array_equal(together, np.stack(alone))
        with pytest.raises(InferenceServerException, match="item 1 of 2: its mask has another size"):
            await client.infer("tiny", [files(png(images[0]), png(images[0][:20]))])
        (output,) = (await client.get_model_config("tiny"))["output"]
        of_input = await client.infer("tiny", [pixels(np.zeros((2, 3, 64, 64), np.float32))])
        assert list(of_input.as_numpy(output["name"]).shape) == [2, *output["dims"]]


@pytest.fixture
def detector(bench: Factory) -> AbstractAsyncContextManager[Any]:
    """`triton_at` with the detector in the box."""
    return triton_at(bench, package=load(MODELS / "nanodet_g" / "package"), cloud=False)


async def test_boxes_of_several_pictures_say_which_they_are_of(detector: AbstractAsyncContextManager[Any]) -> None:
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))[:2]]
    assert len(photos) == 2
    async with detector as (_, client, _):
        reply = await client.infer("nanodet_g", [files(*photos)])
        items = reply.as_numpy("items")
        for index, photo in enumerate(photos):
            alone = await client.infer("nanodet_g", [files(photo)])
            assert len(alone.as_numpy("scores"))
            for name in ("boxes", "scores", "classes"):
                np.testing.assert_array_equal(reply.as_numpy(name)[items == index], alone.as_numpy(name))


# It is the client's own doing.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_a_client_that_suppresses_by_itself_gets_rows(detector: AbstractAsyncContextManager[Any]) -> None:
    photo = Image.open(PHOTOS / "dogs.jpg").convert("RGB").resize((416, 416))
    image = np.asarray(photo)
    async with detector as (_, client, _):
        config = await client.get_model_config("nanodet_g")
        (output,) = config["output"]
        assert (output["name"], output["dims"]) == ("detections", [100, 6])
        asked = [triton.InferRequestedOutput("detections", binary_data=True)]
        rows = (await client.infer("nanodet_g", [pixels(as_floats(image[np.newaxis]))], outputs=asked)).as_numpy(
            "detections"
        )
        assert rows.shape == (1, 100, 6)
        usual = await client.infer("nanodet_g", [pixels(image)])
        sure = rows[0][rows[0, :, 4] >= 0.4]
        np.testing.assert_allclose(sure[:, :4], usual.as_numpy("boxes"), atol=1e-3)
        np.testing.assert_allclose(sure[:, 4], usual.as_numpy("scores"), atol=1e-6)
        np.testing.assert_array_equal(sure[:, 5], usual.as_numpy("classes"))
        assert (np.diff(rows[0, :, 4]) <= 0).all()
