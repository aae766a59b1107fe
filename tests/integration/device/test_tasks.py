"""Detectors, segmenters and networks of tensors, through both daemons: the answer is one wherever the layers run."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from collab_sdk import wire
from collab_sdk.errors import CollabError, CompanionUnavailable, InvalidPlacement, InvalidRequest, InvalidTensor
from collabd.catalog.package.package import Package
from tests.integration.device.conftest import Bench, Factory
from tests.task_networks import BOXES, CLASSES, DETECT, GROUND, NETWORKS, package_of

SIGNAL = np.linspace(-1, 1, 16, dtype=np.float32)[np.newaxis]
GAIN = np.array([[3]], np.int32)
Arrays = Mapping[str, np.ndarray]


def picture(height: int, width: int) -> np.ndarray:
    """Patches of colour, uint8 [height, width, 3]."""
    coarse = np.random.default_rng(8).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST))


PHOTO = picture(70, 100)


@pytest.fixture(scope="module", params=list(NETWORKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tiny_package(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package_of(kind, tmp_path_factory.mktemp("packages") / "tiny")


def inputs_of(kind: str) -> list[wire.Tensor]:
    if kind == "tensors":
        return [wire.Tensor.from_array("gain", GAIN), wire.Tensor.from_array("signal", SIGNAL)]
    return [wire.Tensor.from_array("image", PHOTO)]


async def ask(
    where: aiohttp.ClientSession,
    url: str,
    tensors: list[wire.Tensor],
    *outputs: wire.RequestedOutput,
    **parameters: Any,
) -> wire.InferResponse:
    asked = wire.InferRequest(tensors, outputs=[*outputs], parameters={"binary_data_output": True} | parameters)
    message = wire.encode_request(asked)
    async with where.post(f"{url}/v2/models/tiny/infer", data=message.body(), headers=message.headers) as reply:
        body = await reply.read()
        if reply.status != 200:
            raise wire.decode_error(reply.status, body)
        return wire.decode_response(body, wire.header_length(reply.headers))


async def infer(it: Bench, tensors: list[wire.Tensor], **parameters: Any) -> wire.InferResponse:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(it.socket))) as session:
        return await ask(session, "http://d", tensors, **parameters)


def arrays(response: wire.InferResponse) -> dict[str, np.ndarray]:
    return {tensor.name: tensor.to_array() for tensor in response.outputs}


def original(kind: str, feeds: Arrays) -> dict[str, np.ndarray]:
    """What the network gives that nothing was built of."""
    session = onnxruntime.InferenceSession(NETWORKS[kind][0].SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def letterboxed(photo: np.ndarray) -> tuple[np.ndarray, float, int]:
    """A picture that is less wide than 3:2 in 32 x 48 pixels: the pixels, the scale, and where it begins."""
    height, width = photo.shape[:2]
    scale = 32 / height
    inside = round(width * scale)
    left = (48 - inside) // 2
    whole = np.full((1, 32, 48, 3), 114, np.uint8)
    resized = Image.fromarray(photo).resize((inside, 32), Image.Resampling.BILINEAR, reducing_gap=2)
    whole[0, :, left : left + inside] = np.asarray(resized)
    return whole, inside / width, left


def expected_boxes(photo: np.ndarray) -> dict[str, np.ndarray]:
    """Threshold, suppression and the way back to the photograph, one box after the other."""
    pixels, scale, left = letterboxed(photo)
    found = original("detect", {"image": pixels})
    kept: list[tuple[np.ndarray, float, int]] = []
    boxes = []
    height, width = photo.shape[:2]
    for box, score, label in zip(*(found[name][0] for name in ("boxes", "scores", "classes")), strict=True):
        rivals = [other for other, _, same in kept if same == label and iou(box, other) > DETECT.iou_threshold]
        x1, y1, x2, y2 = box
        placed = [
            min(max((x1 - left) / scale, 0), width),
            min(max(y1 * height / 32, 0), height),
            min(max((x2 - left) / scale, 0), width),
            min(max(y2 * height / 32, 0), height),
        ]
        shows = placed[0] < placed[2] and placed[1] < placed[3]
        if score >= DETECT.score_threshold and shows and not rivals and len(kept) < DETECT.most:
            kept.append((box, float(score), int(label)))
            boxes.append(placed)
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "scores": np.array([score for _, score, _ in kept], np.float32),
        "classes": np.array([label for _, _, label in kept], np.int32),
    }


def iou(one: np.ndarray, other: np.ndarray) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0) * max(down, 0)
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return float(shared / (sum(areas) - shared))


def expected_mask(photo: np.ndarray) -> np.ndarray:
    pixels = np.asarray(Image.fromarray(photo).resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=2))
    found = original("segment", {"image": pixels[np.newaxis]})["map"][0]
    height, width = photo.shape[:2]
    rows = [int((row + 0.5) * 32 / height) for row in range(height)]
    columns = [int((column + 0.5) * 32 / width) for column in range(width)]
    return np.array([[found[row, column] for column in columns] for row in rows], np.uint8)


def require_right(kind: str, photo: np.ndarray, found: Arrays) -> None:
    if kind == "detect":
        wanted = expected_boxes(photo)
        assert [*found] == ["boxes", "scores", "classes"]
        assert 2 < len(wanted["scores"]) < BOXES
        np.testing.assert_array_equal(found["classes"], wanted["classes"])
        np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-3)
        np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=0.1)
        assert [array.dtype.name for array in found.values()] == ["float32", "float32", "int32"]
    elif kind == "segment":
        assert found["mask"].dtype == np.uint8
        assert len(np.unique(found["mask"])) > 2
        # Weights of half width may change the class of a pixel.
        assert found["mask"].shape == photo.shape[:2]
        assert (found["mask"] == expected_mask(photo)).mean() > 0.99
    else:
        wanted = original(kind, {"signal": SIGNAL, "gain": GAIN})
        assert [*found] == ["early", "late"]
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-2, atol=1e-3)


def require_same(found: Arrays, local: Arrays) -> None:
    """Nothing was lost on the way."""
    for name, array in local.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-4)


async def test_every_candidate_cut_gives_what_the_device_gives_alone(bench: Factory, kind: str) -> None:
    async with bench() as it:
        here = await infer(it, inputs_of(kind), cut="output")
        assert here.parameters["ran"] == "D" * len(it.package.manifest.layers)
        require_right(kind, PHOTO, arrays(here))
        assert len(it.package.manifest.cuts) > 1
        for cut in it.package.manifest.cuts:
            there = await infer(it, inputs_of(kind), cut=cut.name, fallback="fail")
            assert there.parameters["ran"].endswith("C"), cut.name
            assert there.parameters["fidelity"] == 1.0
            require_same(arrays(there), arrays(here))


async def test_placements_with_several_crossings_are_exact_too(bench: Factory, kind: str) -> None:
    async with bench() as it:
        layers = len(it.package.manifest.layers)
        here = arrays(await infer(it, inputs_of(kind), cut="output"))
        for placement in (("CD" * layers)[:layers], ("DC" * layers)[:layers]):
            there = await infer(it, inputs_of(kind), placement=placement, fallback="fail")
            assert there.parameters["ran"] == placement
            require_same(arrays(there), here)


async def test_after_the_death_of_the_companion_the_device_finishes_from_the_cut(bench: Factory, kind: str) -> None:
    async with bench() as it:
        here = arrays(await infer(it, inputs_of(kind), cut="output"))
        cuts = [cut.name for cut in it.package.manifest.cuts]
        await infer(it, inputs_of(kind), cut=cuts[1], fallback="fail")
        await it.stop_cloud()
        for cut in cuts:
            answer = await infer(it, inputs_of(kind), cut=cut)
            assert (set(answer.parameters["ran"]), answer.parameters["degraded"]) == ({"D"}, True)
            require_same(arrays(answer), here)
        with pytest.raises(CompanionUnavailable):
            await infer(it, inputs_of(kind), cut=cuts[1], fallback="fail")


async def test_the_planner_serves_every_task(bench: Factory, kind: str) -> None:
    async with bench() as it:
        for _ in range(3):
            require_right(kind, PHOTO, arrays(await infer(it, inputs_of(kind))))
        (decision,) = (await it.client.explain())["decisions"]
        cuts = {candidate["cut"] for candidate in decision["candidates"]}
        assert cuts == {"output", *(cut.name for cut in it.package.manifest.cuts)}
        # What changes no answer is always allowed; of the rest nothing is promised, since nothing calibrated it.
        for candidate in decision["candidates"]:
            assert candidate["fidelity"] == 1.0 or candidate["verdict"] == "below-fidelity"
        assert (await it.client.profile("tiny"))["model"] == "tiny"


def told(kind: str, found: Arrays) -> str:
    """The answer in a line."""
    if kind == "detect":
        x1, y1, x2, y2 = found["boxes"][0]
        first = (
            f"{CLASSES[found['classes'][0]]} {found['scores'][0]:.2f} at {x1:.0f},{y1:.0f} {x2 - x1:.0f}x{y2 - y1:.0f}"
        )
        return f"{first}; {len(found['scores']) - 1} more"
    if kind == "segment":
        counts = {name: int((found["mask"] == number).sum()) for number, name in enumerate(GROUND)}
        shares = sorted(((100 * count / found["mask"].size, name) for name, count in counts.items()), reverse=True)
        named = ", ".join(f"{name} {share:.0f} %" for share, name in shares[:3] if share)
        return named + ", 1 other" * all(counts.values())
    return "early float32 [1, 4], late float32 [1, 8]"


async def test_explain_tells_the_answer_of_every_task_in_a_line(bench: Factory, kind: str) -> None:
    async with bench(cloud=False) as it:
        answer = arrays(await infer(it, inputs_of(kind)))
        raw = arrays(await infer(it, inputs_of(kind), raw=True))
        latest, earlier = (await it.client.explain(2))["decisions"]
        assert earlier["answer"] == told(kind, answer)
        assert latest["answer"] == ", ".join(f"{name} {array.dtype} {[*array.shape]}" for name, array in raw.items())


async def test_who_asks_for_raw_outputs_gets_those_of_the_network(bench: Factory, kind: str) -> None:
    async with bench() as it:
        cut = it.package.manifest.cuts[1].name
        for asked in ({"cut": "output"}, {"cut": cut, "fallback": "fail"}):
            found = arrays(await infer(it, inputs_of(kind), raw=True, **asked))
            ports = {port.name: (port.dtype, (1, *port.shape[1:])) for port in it.package.manifest.outputs}
            assert {name: (array.dtype.name, array.shape) for name, array in found.items()} == ports
        with pytest.raises(InvalidRequest, match="raw must be true or false"):
            await infer(it, inputs_of(kind), raw="yes")


async def test_the_response_says_what_it_answers(bench: Factory, kind: str) -> None:
    async with bench() as it:
        said = (await infer(it, inputs_of(kind))).parameters
        assert said["task"] == kind
        sides = None if kind == "tensors" else (PHOTO.shape[1], PHOTO.shape[0])
        assert (sides is None) == ("image_width" not in said)
        assert sides in (None, (said.get("image_width"), said.get("image_height")))


async def test_the_metadata_tells_inputs_and_outputs(bench: Factory, kind: str) -> None:
    async with bench() as it:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(it.socket))) as session:
            here = await (await session.get("http://d/v2/models/tiny")).json()
        url = (await it.client.status())["clouds"][0]["url"]
        async with aiohttp.ClientSession() as session:
            there = await (await session.get(f"{url}/v2/models/tiny")).json()
        answer = await infer(it, inputs_of(kind))
    assert here["parameters"]["task"] == there["parameters"]["task"] == kind
    assert here["parameters"]["labels"] == {"detect": [*CLASSES], "segment": [*GROUND], "tensors": []}[kind]
    described = {port["name"]: (port["datatype"], port["shape"]) for port in here["outputs"]}
    for tensor in answer.outputs:
        datatype, shape = described.pop(tensor.name)
        assert datatype == tensor.datatype
        assert all(size in (-1, found) for size, found in zip(shape, tensor.shape, strict=True))
    assert not described
    inputs = {port["name"]: (port["datatype"], port["shape"]) for port in here["inputs"]}
    picture_of = {"image": ("UINT8", [-1, -1, -1, 3])}
    assert inputs == (picture_of if kind != "tensors" else {"signal": ("FP32", [-1, 16]), "gain": ("INT32", [-1, 1])})
    assert [port["name"] for port in there["outputs"]] == [port.name for port in it.package.manifest.outputs]
    assert {port["shape"][0] for port in (*there["inputs"], *there["outputs"])} == {-1}


async def test_outputs_are_chosen_by_name(bench: Factory, kind: str) -> None:
    wanted = {"detect": ["classes", "boxes"], "segment": ["mask"], "tensors": ["late"]}[kind]
    async with bench() as it, aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(it.socket))) as session:
        chosen = [wire.RequestedOutput(name) for name in wanted]
        answer = await ask(session, "http://d", inputs_of(kind), *chosen)
        assert [tensor.name for tensor in answer.outputs] == wanted
        with pytest.raises(InvalidTensor, match="no output 'logits', only .*" + wanted[0]):
            await ask(session, "http://d", inputs_of(kind), wire.RequestedOutput("logits"))
        labelled = wire.RequestedOutput(wanted[0], {"classification": 3})
        with pytest.raises(InvalidRequest, match="classification works only for"):
            await ask(session, "http://d", inputs_of(kind), labelled)


async def test_the_companion_speaks_the_protocol_by_itself(bench: Factory, kind: str) -> None:
    async with bench() as it, aiohttp.ClientSession() as session:
        url = (await it.client.status())["clouds"][0]["url"]
        answer = arrays(await ask(session, url, inputs_of(kind)))
        here = arrays(await infer(it, inputs_of(kind), raw=True, cut="output"))
        require_same(answer, here)


async def test_the_sdk_gives_the_answer_of_the_task(bench: Factory, kind: str) -> None:
    given: Any = {"signal": SIGNAL, "gain": GAIN} if kind == "tensors" else PHOTO
    async with bench() as it:
        wishes: list[dict[str, Any]] = [
            {"cut": "output"},
            {"cut": it.package.manifest.cuts[1].name, "fallback": "fail"},
        ]
        for asked in wishes:
            result = await it.client.infer(given, **asked)
            found: Arrays
            if kind == "detect":
                known = result.detections
                found = {"boxes": known.xyxy, "scores": known.confidence, "classes": known.class_id.astype(np.int32)}
            else:
                found = {"mask": result.mask.view(np.uint8)} if kind == "segment" else result.outputs
            require_right(kind, PHOTO, found)
            raw = await it.client.infer(given, raw=True, **asked)
            assert [*raw.outputs] == [*it.package.manifest.output_names]
        assert (await it.client.status())["last"] is not None


@pytest.mark.parametrize("kind", ["segment"], indirect=True)
async def test_a_class_map_comes_back_compressed(bench: Factory, kind: str) -> None:
    async with bench() as it, aiohttp.ClientSession() as session:
        cut = it.package.manifest.cuts[1].name
        said = (await infer(it, inputs_of(kind), cut=cut, fallback="fail")).parameters
        url = (await it.client.status())["clouds"][0]["url"]
        asked = [wire.RequestedOutput("map", each) for each in ({}, {"codec": "u8"})]
        plain, packed = [(await ask(session, url, inputs_of(kind), each)).outputs[0] for each in asked]
        assert (len(plain.data), plain.parameters) == (32 * 32, {})
        assert len(packed.data) < len(plain.data) / 2
        # The JSON beside it takes some hundred bytes.
        assert len(packed.data) < said["bytes_down"] < len(packed.data) + 500
        assert it.package.manifest.answer_bytes is not None


@pytest.mark.parametrize("kind", ["detect", "segment"], indirect=True)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
async def test_answers_are_about_the_picture_as_it_is_shown(bench: Factory, kind: str, orientation: int) -> None:
    """The photograph lies in its file as the camera held it; whoever decodes it turns it."""
    turns = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored, turn = Image.fromarray(PHOTO), turns[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    (stored if turn is None else stored.transpose(turn)).save(file, "PNG", exif=exif)
    sent = [wire.Tensor.from_bytes_list("image", [file.getvalue()])]
    async with bench() as it:
        for asked in ({"cut": "output"}, {"cut": "image", "codec": "source", "fallback": "fail"}):
            answer = await infer(it, sent, **asked)
            assert (answer.parameters["image_width"], answer.parameters["image_height"]) == PHOTO.shape[1::-1]
            # Turned after it was resized, it differs a little.
            if orientation == 1:
                require_right(kind, PHOTO, arrays(answer))
            elif kind == "segment":
                assert (arrays(answer)["mask"] == expected_mask(PHOTO)).mean() > 0.95


@pytest.mark.parametrize("kind", ["tensors"], indirect=True)
async def test_what_does_not_fit_a_network_of_tensors(bench: Factory, kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "PNG")
    signal, gain = wire.Tensor.from_array("signal", SIGNAL), wire.Tensor.from_array("gain", GAIN)
    wrong = [
        [wire.Tensor.from_array("image", PHOTO)],
        [wire.Tensor.from_bytes_list("signal", [file.getvalue()]), gain],
        [signal],
        [signal, gain, wire.Tensor.from_array("more", GAIN)],
        [signal, wire.Tensor.from_array("gain", GAIN.astype(np.int64))],
        [wire.Tensor.from_array("signal", SIGNAL[:, :8]), gain],
        [wire.Tensor.from_array("signal", np.repeat(SIGNAL, 2, 0)), gain],
    ]
    async with bench() as it, aiohttp.ClientSession() as session:
        url = (await it.client.status())["clouds"][0]["url"]
        for tensors in wrong:
            came = tensors[-1].name
            told = rf"tiny takes tensors: signal FP32 \[1, 16\], gain INT32 \[1, 1\]; .*{came}"
            with pytest.raises(InvalidTensor, match=told):
                await infer(it, tensors)
        for tensors in (wrong[0], wrong[1], wrong[2], wrong[4], wrong[5]):
            with pytest.raises(InvalidTensor):
                await ask(session, url, tensors)
        for codec, name in itertools.product(("jpeg", "source", "u8"), ("inputs", "h1")):
            with pytest.raises(InvalidPlacement, match="is for a picture, but tiny takes tensors"):
                await infer(it, inputs_of(kind), cut=name, codec=codec)
        with pytest.raises(InvalidPlacement, match=r"no cut 'image'.*inputs"):
            await infer(it, inputs_of(kind), cut="image")


@pytest.mark.parametrize("kind", ["tensors"], indirect=True)
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
async def test_tensors_that_are_not_finite_are_no_fault_of_the_companion(
    bench: Factory, kind: str, value: float
) -> None:
    signal = SIGNAL.copy()
    signal[0, 3] = value
    signal[0, 4] = -value
    tensors = [wire.Tensor.from_array("gain", GAIN), wire.Tensor.from_array("signal", signal)]
    expected = original(kind, {"gain": GAIN, "signal": signal})
    assert not all(np.isfinite(each).all() for each in expected.values())
    async with bench() as it:
        for _ in range(6):
            answer = await infer(it, tensors, cut="inputs")
            assert answer.parameters["degraded"] is True
            assert "holds NaN" in answer.parameters["why"] or "is not finite" in answer.parameters["why"]
            for name, found in arrays(answer).items():
                # The package has its weights in half precision, and the largest products nearly cancel.
                np.testing.assert_allclose(found, expected[name], rtol=0.02)
        after = await infer(it, inputs_of(kind), cut="inputs", fallback="fail")
        assert after.parameters["degraded"] is False
        assert (await it.client.status())["clouds"][0]["breaker"] == "closed"


@pytest.mark.parametrize("kind", ["detect"], indirect=True)
async def test_tensors_where_a_picture_is_wanted(bench: Factory, kind: str) -> None:
    async with bench() as it:
        for tensors, told in (
            (inputs_of("tensors"), r"the request has gain INT32 \[1, 1\], signal FP32 \[1, 16\]: send one picture in"),
            ([wire.Tensor.from_array("image", SIGNAL)], "has image FP32 .*FP32 is the network's input itself"),
        ):
            with pytest.raises(CollabError, match="^tiny takes one picture .*" + told) as caught:
                await infer(it, tensors)
            assert isinstance(caught.value, InvalidTensor)


async def test_packages_of_every_task_reach_the_companion(bench: Factory, kind: str) -> None:
    """It tries them out before it keeps them."""
    async with bench(pushed=True) as it:
        answer = await infer(it, inputs_of(kind), cut=it.package.manifest.cuts[1].name, fallback="fail")
        require_right(kind, PHOTO, arrays(answer))


def test_the_package_is_what_the_tests_think(tiny_package: Package, kind: str, tmp_path: Path) -> None:
    manifest = tiny_package.manifest
    assert manifest.dynamic_batch
    assert package_of(kind, tmp_path / "again").digest == tiny_package.digest
    if kind == "tensors":
        assert any("early" in cut.tensors for cut in manifest.cuts)
        assert all("gain" in cut.tensors for cut in manifest.cuts)


async def test_the_time_to_make_the_answer_is_measured_and_expected_of_the_next_call(bench: Factory, kind: str) -> None:
    """It differs from model to model and with the picture. Raw outputs are given as they are."""
    given: Any = {"signal": SIGNAL, "gain": GAIN} if kind == "tensors" else picture(1500, 2000)
    async with bench() as it:
        first = await it.client.infer(given)
        assert first.predicted.answer_ms == 0
        assert first.measured.answer_ms is not None
        assert first.measured.latency_ms is not None
        assert 0 < first.measured.answer_ms < first.measured.latency_ms
        await it.client.explain()  # takes in what the call taught
        later = await it.client.infer(given, "99 s")  # a budget of its own, so the plan is made anew
        assert later.predicted.answer_ms == pytest.approx(first.measured.answer_ms, rel=0.3)
        raw = await it.client.infer(given, raw=True)
        assert (raw.predicted.answer_ms, raw.measured.answer_ms) == (0, None)
