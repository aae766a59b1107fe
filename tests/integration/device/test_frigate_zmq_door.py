"""Frigate's detector `zmq` through its door: models by name and by upload, pictures, and peers that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiohttp.test_utils import unused_port

from collab_sdk.errors import InvalidPackage, InvalidRequest, NotReady, Overloaded, UnknownModel
from collabd.catalog.package.package import write
from collabd.catalog.package.sent_detector import SentDetector
from collabd.device.doors.frigate.building import build_apart
from collabd.device.doors.frigate.models import MOST_MODELS, FrigateModels, name_of
from tests import task_networks
from tests.frigate_client import FrigateClient
from tests.integration.device.conftest import Bench, Factory
from tests.unit.catalog.authoring.detect import test_decoders as cases
from tests.unit.catalog.authoring.detect.networks import run
from tests.unit.catalog.authoring.detect.references import Candidates, non_maximum_suppression

LONGEST_S = 120


def door(listen: str, **settings: Any) -> str:
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in {"listen": listen, **settings}.items()]
    return f'[[doors]]\nkind = "frigate-zmq"\n{"".join(lines)}'


@pytest.fixture
async def opened(bench: Factory, tmp_path: Path) -> AsyncIterator[Any]:
    """`it, endpoint = await opened(path=False, **settings)`: a daemon with the tiny detector, and its door."""
    async with AsyncExitStack() as stack:

        async def open_it(*, path: bool = False, **settings: Any) -> tuple[Bench, str]:
            listen = f"ipc://{tmp_path}/door.sock" if path else f"127.0.0.1:{unused_port()}"
            package = task_networks.package_of("detect", tmp_path / "built")
            text = door(listen, **{"min_confidence": 0.5, "budget": "20s", **settings})
            it = await stack.enter_async_context(bench(text, cloud=False, package=package))
            return it, listen if path else f"tcp://{listen}"

        yield open_it


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_shares(pixels: np.ndarray) -> np.ndarray:
    """float32 [1, 3, height, width] of 0..1, as Frigate makes it with `nchw` and `float`."""
    planes = np.transpose(pixels[np.newaxis], [0, 3, 1, 2]).astype(np.float32)
    planes /= 255
    return planes


@pytest.mark.parametrize("path", [False, True], ids=["tcp", "ipc"])
async def test_a_model_of_this_machine_is_found_by_name_and_answers(opened: Any, path: bool) -> None:
    it, endpoint = await opened(path=path)
    pixels = picture(32, 48)
    own = (await it.client.infer(pixels, model="tiny", fallback="never-leave")).detections
    assert len(own)
    tensors = [pixels[np.newaxis], as_shares(pixels), pixels[np.newaxis].astype(np.float32)]
    async with FrigateClient(endpoint, "yologeneric") as frigate:
        assert await frigate.start("tiny.onnx", b"not asked for")
        for tensor in tensors:
            rows = await frigate.detect(tensor)
            found = rows[rows[:, 1] > 0]
            np.testing.assert_array_equal(found[:, 0], own.class_id)
            np.testing.assert_allclose(found[:, 1], own.confidence, atol=1e-5)
            np.testing.assert_allclose(found[:, [3, 2, 5, 4]] * [48, 32, 48, 32], own.xyxy, atol=1e-3)
    assert [told.get("model_available", "shape" in told) for told in frigate.told] == [True] * 4
    (report,) = await it.client.doors()
    assert (report["calls"], report["failed"], report["budget"]) == (3, 0, "20s")


async def test_a_door_has_a_budget_that_frigate_can_wait_for(opened: Any) -> None:
    it, _ = await opened(budget="")
    (report,) = await it.client.doors()
    assert report["budget"] == "150ms"


async def test_a_model_that_frigate_sends_answers_as_the_network_does(opened: Any, tmp_path: Path) -> None:
    it, endpoint = await opened(min_confidence=0.2)
    case = cases.yolox(96, 96, classes=80, white=255)
    pixels = picture(96, 96, seed=3)
    levels = np.transpose(pixels[np.newaxis], [0, 3, 1, 2]).astype(np.float32)
    raw = run(case.model, images=levels)
    expected = non_maximum_suppression(
        case.reference([each[0] for each in raw]), score_threshold=0.2, iou_threshold=0.4
    )
    shows = (np.clip(expected.boxes[:, :2], 0, 96) < np.clip(expected.boxes[:, 2:], 0, 96)).all(axis=1)
    expected = Candidates(expected.boxes[shows], expected.scores[shows], expected.classes[shows])
    assert len(expected.scores)
    async with FrigateClient(endpoint, "yolox") as frigate:
        assert await frigate.start("yolox_tiny.onnx", case.model.SerializeToString())
        assert [told.get("model_available") for told in frigate.told] == [False, None]
        rows = await frigate.detect(levels)
        shown = min(20, len(expected.scores))
        np.testing.assert_allclose(rows[:shown, 1], expected.scores[:shown], atol=2e-3)
        np.testing.assert_array_equal(rows[:shown, 0], expected.classes[:shown])
        boxes = np.clip(expected.boxes[:shown] / 96, 0, 1)
        np.testing.assert_allclose(rows[:shown, [3, 2, 5, 4]], boxes, atol=5e-3)

        refused = await frigate.detect(levels / np.float32(255))
        assert not refused.any()
        assert "input_dtype: float_denorm: set that in Frigate" in frigate.told[-1]["error"]
        assert (await frigate.detect(np.zeros_like(levels))).shape == (20, 6)
        assert "error" not in frigate.told[-1]
    async with FrigateClient(endpoint, "dfine") as other:
        # It is there now, and stays over a restart of Frigate.
        assert await other.start("yolox_tiny.onnx", b"")
        assert not (await other.detect(levels)).any()
        assert "one of the family yolox: set model_type: yolox in Frigate" in other.told[-1]["error"]
    assert "yolox_tiny" in it.daemon.machinery.models.names
    (kept,) = (tmp_path / "device/doors/frigate-zmq").glob("*")
    assert kept.name == "yolox_tiny.json"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "graph"),
        (b"not a network", "not a readable ONNX file"),
        (task_networks.NETWORKS["segment"][0].SerializeToString(), "it is no detector that collabd knows"),
        (cases.nanodet_g().model.SerializeToString(), "for which Frigate has no model_type"),
    ],
    ids=["nothing", "junk", "segmenter", "other family"],
)
async def test_a_file_that_is_no_detector_for_frigate_is_refused(opened: Any, content: bytes, reason: str) -> None:
    it, endpoint = await opened()
    async with FrigateClient(endpoint, "yolox") as frigate:
        assert not await frigate.start("some.onnx", content)
        told = frigate.told[-1]
        assert (told["model_saved"], told["model_loaded"]) == (False, False)
        assert reason in told["message"]
        assert it.daemon.machinery.models.names == ["tiny"]
        # The door goes on.
        assert await frigate.start("tiny.onnx", b"")


@pytest.mark.parametrize(
    "name", ["", "../tiny.onnx", "a/b.onnx", ".onnx", "-x.onnx", "a b.onnx", "x" * 101, "a\0.onnx"]
)
def test_names_that_could_be_paths_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="no name of a model's file"):
        name_of(name)


def test_the_name_of_a_model_is_that_of_its_file() -> None:
    assert [name_of(name) for name in ("a.onnx", "a-1.2_b.onnx", "a.tflite", "a")] == ["a", "a-1.2_b", "a.tflite", "a"]


async def test_a_model_that_was_here_is_never_replaced(opened: Any, tmp_path: Path) -> None:
    it, endpoint = await opened()
    content = cases.yolox(96, 96, classes=80).model.SerializeToString()
    before = it.daemon.machinery.models.package("tiny").digest
    async with FrigateClient(endpoint, "yolox") as frigate:
        header = json.dumps({"model_data": True, "model_name": "tiny.onnx"}).encode()
        (reply,) = await frigate.exchange(header, content)
        assert json.loads(reply)["model_saved"] is False
        assert "stays as it is" in json.loads(reply)["message"]

        # Nor if it comes while the package is being built.
        async def build(file: Path, directory: Path, **stated: Any) -> SentDetector:
            taken = await build_apart(file, directory, **stated)
            manifest = msgspec.structs.replace(it.package.manifest, name="late")
            model = (it.package.path / "model.onnx").read_bytes()
            await it.client.load_model(str(write(tmp_path / "late", manifest, model=model, licence="CC0-1.0").path))
            return taken

        models = models_of(it, tmp_path, build=build)
        await models.take("late", content)
        with pytest.raises(InvalidRequest, match="stays as it is"):
            await models.ready("late", LONGEST_S)
    assert it.daemon.machinery.models.package("tiny").digest == before


def models_of(it: Bench, tmp_path: Path, **seams: Any) -> FrigateModels:
    changed = it.daemon._plane.generation.planner.reconsider
    return FrigateModels(
        it.daemon.machinery.models, tmp_path / "kept", own="", min_confidence=0.4, changed=changed, **seams
    )


async def test_a_model_that_takes_long_is_found_later(opened: Any, tmp_path: Path) -> None:
    it, _ = await opened()
    go_on = asyncio.Event()

    async def build(file: Path, directory: Path, **stated: Any) -> SentDetector:
        await asyncio.wait_for(go_on.wait(), LONGEST_S)
        return await build_apart(file, directory, **stated)

    models = models_of(it, tmp_path, build=build)
    content = cases.yolox(96, 96, classes=80).model.SerializeToString()
    await models.take("slow", content)
    assert models.is_known("slow")
    assert not await models.ready("slow", 0.01)
    with pytest.raises(NotReady, match="still being built"):
        models.get("slow")
    # It may come again, and others may come.
    await models.take("slow", content)
    for other in ("a", "b", "c"):
        await models.take(other, b"junk")
    with pytest.raises(Overloaded):
        await models.take("d", content)
    go_on.set()
    assert await models.ready("slow", LONGEST_S)
    assert models.get("slow").taken == SentDetector("yolox", levels=True)
    for other in ("a", "b", "c"):
        # One that ended before somebody waited for it is unknown again; the journal says why.
        with pytest.raises((InvalidPackage, InvalidRequest, UnknownModel)):
            await models.ready(other, LONGEST_S)
    assert not models.is_known("a")


async def test_closing_ends_what_is_being_built(opened: Any, tmp_path: Path) -> None:
    it, _ = await opened()
    models = models_of(it, tmp_path)
    await models.take("never", cases.yolox(96, 96, classes=80).model.SerializeToString())
    await asyncio.sleep(0.2)
    await asyncio.wait_for(models.close(), LONGEST_S)
    assert not models.is_known("never")
    assert it.daemon.machinery.models.names == ["tiny"]


async def test_the_model_that_was_asked_for_longest_ago_makes_room(opened: Any, tmp_path: Path) -> None:
    it, _ = await opened()

    async def build(_: Path, directory: Path, *, name: str, **__: Any) -> SentDetector:
        manifest = msgspec.structs.replace(it.package.manifest, name=name)
        write(directory, manifest, model=(it.package.path / "model.onnx").read_bytes(), licence="CC0-1.0")
        return SentDetector("yolox", levels=True)

    models = models_of(it, tmp_path, build=build)
    names = [f"sent{at}" for at in range(MOST_MODELS)]
    for name in names:
        await models.take(name, b"")
        assert await models.ready(name, LONGEST_S)
    assert await models.ready(names[0], LONGEST_S)
    await models.take("newest", b"")
    assert await models.ready("newest", LONGEST_S)
    assert set(it.daemon.machinery.models.names) == {"tiny", "newest", *names} - {names[1]}


async def test_with_a_model_of_its_own_the_door_asks_for_none(opened: Any) -> None:
    _, endpoint = await opened(model="tiny")
    async with FrigateClient(endpoint, "ssd") as frigate:
        assert await frigate.start("cpu_model.tflite", b"not asked for")
        assert (await frigate.detect(picture(32, 48)[np.newaxis])).any()
        (reply,) = await frigate.exchange(json.dumps({"model_data": True, "model_name": "x.onnx"}).encode(), b"x")
        assert "takes no other" in json.loads(reply)["message"]


async def test_whatever_comes_frigate_gets_rows_of_zeros(opened: Any) -> None:
    it, endpoint = await opened()
    pixels = picture(32, 48)
    head = {"shape": [1, 32, 48, 3], "dtype": "uint8", "model_type": "yolox"}
    wrong = [
        [b""],
        [b"junk", b"junk"],
        [json.dumps(head).encode()],
        [json.dumps(head).encode(), b"short"],
        [json.dumps(head | {"dtype": "float64"}).encode(), pixels.tobytes()],
        [json.dumps(head | {"shape": [32, 48, 3]}).encode(), pixels.tobytes()],
        [json.dumps(head | {"model_type": "jina"}).encode(), pixels.tobytes()],
        [json.dumps({"shape": [1, 4, 4, 3], "dtype": "float32", "model_type": "ssd"}).encode(), b"\xff" * 192],
    ]
    async with FrigateClient(endpoint, "yolox") as frigate:
        assert await frigate.start("tiny.onnx", b"")
        for frames in wrong:
            told, body = await frigate.exchange(*frames)
            assert json.loads(told)["error"]
            assert body == bytes(480)
        assert (await frigate.detect(pixels[np.newaxis])).any()
    (report,) = await it.client.doors()
    # What cannot be read is no call yet.
    assert (report["calls"], report["failed"]) == (4, 3)


async def test_a_classifier_is_no_model_for_frigate(bench: Factory) -> None:
    listen = f"127.0.0.1:{unused_port()}"
    async with bench(door(listen), cloud=False), FrigateClient(f"tcp://{listen}", "ssd") as frigate:
        assert not await frigate.start("tiny.onnx", b"")
        told = frigate.told[-1]
        assert (told["model_available"], told["model_loaded"]) == (True, False)
        assert "no detector" in told["message"]


async def test_a_peer_that_goes_or_stalls_holds_nobody_up(opened: Any) -> None:
    _, endpoint = await opened()
    pixels = picture(32, 48)[np.newaxis]
    host, port = endpoint.removeprefix("tcp://").split(":")
    async with FrigateClient(endpoint, "yolox") as going, FrigateClient(endpoint, "yolox") as staying:
        assert await staying.start("tiny.onnx", b"")
        with socket.create_connection((host, int(port)), 10) as silent:
            silent.sendall(b"\xff\x00\x00\x00")  # half a greeting
            for _ in range(5):
                assert await going.start("tiny.onnx", b"")
                await going.send_tensor(pixels)
                going.hang_up()
                assert (await staying.detect(pixels)).any()


async def test_after_a_restart_of_the_daemon_frigate_is_made_to_ask_anew(opened: Any) -> None:
    """It does so only after it waited in vain. Rows of zeros would keep it from that for ever."""
    _, endpoint = await opened()
    pixels = picture(32, 48)[np.newaxis]
    async with FrigateClient(endpoint, "yolox", timeout_ms=500) as hasty:
        with pytest.raises(TimeoutError):
            await hasty.detect(pixels)
    async with FrigateClient(endpoint, "yolox") as frigate:
        assert await frigate.start("tiny.onnx", b"")
        assert (await frigate.detect(pixels)).any()


async def test_a_path_is_for_the_group_of_the_daemon(opened: Any) -> None:
    _, endpoint = await opened(path=True)
    found = await asyncio.to_thread(Path(endpoint.removeprefix("ipc://")).stat)
    assert found.st_mode & 0o777 == 0o660


async def test_an_address_that_is_taken_or_no_socket_is_refused(bench: Factory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        doors = "".join(door(each) for each in (f"127.0.0.1:{taken.getsockname()[1]}", f"ipc://{tmp_path}/file"))
        async with bench(doors, cloud=False) as it:
            assert [each.what for each in it.daemon._doors.seen() if "cannot listen at" not in each.what] == []
            assert len(list(it.daemon._doors.seen())) == 2
            assert await it.client.doors() == []
    assert (tmp_path / "file").read_text() == "precious"
