"""DeepStack's protocol through a door: what its clients send, and what they read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from collab_sdk import Detections
from collabd.keys.tokens import line, new_token
from tests.integration.device.conftest import Factory
from tests.integration.device.door_parts import AtDoor, at_door, photo

DETECTION = "/v1/vision/detection"
# requests writes so what a client gives as raw bytes: a file name that is the field's, no type, the fields first.
AS_FRIGATE_SENDS = (
    b'--5a8b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n%b\r\n'
    b'--5a8b\r\nContent-Disposition: form-data; name="image"; filename="image"\r\n\r\n%b\r\n--5a8b--\r\n'
)
FORM = {"Content-Type": "multipart/form-data; boundary=5a8b"}


def form(file: bytes | None = None, **fields: str) -> FormData:
    made = FormData(default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    if file is not None:
        made.add_field("image", file, filename="camera.png", content_type="image/png")
    return made


async def post(at: AtDoor, path: str, data: Any, **options: Any) -> tuple[int, Any]:
    async with at.session.post(f"{at.url}{path}", data=data, **options) as reply:
        assert reply.content_type == "application/json"
        return reply.status, await reply.json()


def expected(found: Detections) -> list[dict[str, Any]]:
    """What the protocol makes of an answer, from the surest on."""
    order = sorted(found, key=lambda each: -each.confidence)[:20]
    names = ("x_min", "y_min", "x_max", "y_max")
    return [
        {
            "label": each.class_name,
            "confidence": pytest.approx(each.confidence, abs=1e-5),
            **dict(zip(names, map(round, each.xyxy), strict=True)),
        }
        for each in order
    ]


async def test_what_frigate_sends_byte_for_byte_gets_the_answer_of_the_socket(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        file = photo()
        status, said = await post(at, DETECTION, AS_FRIGATE_SENDS % (b"", file), headers=FORM)
        assert (status, said["success"]) == (200, True)
        assert said["predictions"] == expected(await at.found(file))
        assert said["predictions"], "the test's picture shows nothing"
        for each in said["predictions"]:
            assert type(each["x_min"]) is int
            assert 0 <= each["x_min"] <= each["x_max"] <= 100
            assert 0 <= each["y_min"] <= each["y_max"] <= 70


async def test_code_project_ais_fields_are_there_too(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        _, said = await post(at, DETECTION, form(photo()))
        assert said["count"] == len(said["predictions"])
        assert said["message"].startswith("Found ")
        assert (said["code"], said["command"]) == (200, "detect")
        for name in ("inferenceMs", "processMs", "analysisRoundTripMs"):
            assert type(said[name]) is int
        assert 0 < said["duration"] < 60
        assert {"moduleId", "moduleName", "timestampUTC"} <= said.keys()
        _, none = await post(at, DETECTION, form(photo(), min_confidence="1"))
        assert (none["success"], none["predictions"], none["message"]) == (True, [], "No objects found")


async def test_the_calls_confidence_counts_before_the_doors(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack", min_confidence=0.98) as at:
        whole = await at.found(photo())
        sure = [each for each in whole if each.confidence >= 0.98]
        half = [each for each in whole if each.confidence >= 0.97]
        assert len(sure) < len(half) < len(whole), "the test's picture does not tell"
        _, by_door = await post(at, DETECTION, form(photo()))
        _, by_call = await post(at, DETECTION, form(photo(), min_confidence="0.97"))
        _, left_open = await post(at, DETECTION, form(photo(), min_confidence=""))
        counts = [len(said["predictions"]) for said in (by_door, by_call, left_open)]
        assert counts == [len(sure), len(half), len(sure)]


async def test_only_the_doors_labels_are_told(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack", labels=["dog"]) as at:
        kinds = {each.class_name for each in await at.found(photo())}
        assert len(kinds) > 1
        _, said = await post(at, DETECTION, form(photo()))
        assert {each["label"] for each in said["predictions"]} == {"dog"} & kinds


async def test_models_are_listed_and_asked_by_name(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        _, listed = await post(at, "/v1/vision/custom/list", None)
        assert (listed["success"], listed["models"]) == (True, ["finder"])
        async with at.session.get(f"{at.url}/v1/vision/custom/list") as reply:
            assert (await reply.json())["models"] == ["finder"]
        status, said = await post(at, "/v1/vision/custom/finder", form(photo()))
        assert (status, said["command"]) == (200, "custom")
        assert said["predictions"] == expected(await at.found(photo()))


async def test_a_scene_is_what_a_classifier_says(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        file = photo()
        status, said = await post(at, "/v1/vision/scene", form(file))
        right = await at.bench.client.infer(file, model="tiny")
        assert (status, said["success"], said["label"]) == (200, True, right.label)
        assert said["confidence"] == pytest.approx(right.score, abs=1e-5)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/vision/custom/ground", 400, "ground is a segmenter"),
        ("/v1/vision/custom/mixer", 400, "mixer is a network of tensors"),
        ("/v1/vision/custom/tiny", 400, "tiny is a classifier"),
        ("/v1/vision/custom/findr", 404, "did you mean 'finder'"),
        ("/v1/vision/face", 404, "Not Found"),
        (f"{DETECTION}/", 404, "Not Found"),
        ("/v1/server/status/ping", 405, "Method Not Allowed"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_words(
    bench: Factory, tmp_path: Path, path: str, status: int, words: str
) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        refused, said = await post(at, path, form(photo()))
        assert refused == status
        assert said == {"success": False, "error": said["error"], "duration": 0}
        assert words in said["error"]


async def test_a_door_of_a_segmenter_says_so_at_start_and_to_each_call(
    bench: Factory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_door(bench, tmp_path, "deepstack", model="ground") as at:
        assert "refuses calls that name no model: ground is a segmenter" in caplog.text
        status, said = await post(at, DETECTION, form(photo()))
        assert status == 400
        assert "ground is a segmenter, and this asks for a detector" in said["error"]


async def test_bad_calls_are_refused_as_the_protocol_does(bench: Factory, tmp_path: Path) -> None:
    file = photo()
    whole = AS_FRIGATE_SENDS % (b"", file)
    calls: list[tuple[Any, dict[str, str], int, str]] = [
        (form(min_confidence="0.5"), {}, 400, "has no picture"),
        (b"", {}, 400, "has no picture"),
        (form(b"no picture"), {}, 400, "image"),
        (form(file[:-60]), {}, 400, "image"),
        (form(file, min_confidence="much"), {}, 400, "min_confidence"),
        (form(file, min_confidence="nan"), {}, 400, "min_confidence"),
        (form(file, min_confidence="40"), {}, 400, "min_confidence"),
        (json.dumps({"image": "x"}), {"Content-Type": "application/json"}, 400, "no form"),
        (whole, {"Content-Type": "multipart/form-data"}, 400, "no form"),
        (whole[:-20], FORM, 400, "cut short"),
        (whole.replace(b'; name="image"', b""), FORM, 400, "has no name"),
        (io.BytesIO(bytes(2**20 + 1)), FORM, 413, "more than 1048576 bytes"),
    ]
    async with at_door(bench, tmp_path, "deepstack") as at:
        for data, headers, status, words in calls:
            refused, said = await post(at, DETECTION, data, headers=headers)
            assert (refused, said["success"], said["duration"]) == (status, False, 0), said
            assert words in said["error"]
        (report,) = await at.bench.client.doors()
        assert (report["calls"], report["failed"]) == (len(calls), len(calls))


async def test_a_key_is_a_field_of_the_form(bench: Factory, tmp_path: Path) -> None:
    token, tokens = new_token(), tmp_path / "door.tokens"
    tokens.write_text(line("frigate", token))
    tokens.chmod(0o400)
    async with at_door(bench, tmp_path, "deepstack", token_file=str(tokens)) as at:
        for path in (DETECTION, "/v1/vision/scene", "/v1/vision/custom/finder", "/v1/vision/custom/list"):
            for fields, status in (({}, 401), ({"api_key": new_token()}, 401), ({"api_key": token}, 200)):
                refused, said = await post(at, path, form(None if "list" in path else photo(), **fields))
                assert (refused, said["success"]) == (status, status == 200), said
        # requests sends a form without a file so.
        status, _ = await post(at, "/v1/vision/custom/list", {"api_key": token})
        assert status == 200
        async with at.session.get(f"{at.url}/v1/server/status/ping") as reply:
            assert await reply.json() == {"success": True, "message": "", "version": {}}


async def test_a_door_that_answers_calls_warns_of_nothing(
    bench: Factory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_door(bench, tmp_path, "deepstack"):
        assert "refuses calls" not in caplog.text


async def test_monitors_learn_that_it_is_there(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        said: dict[str, Any] = {}
        for path in (
            "/v1/server/status/ping",
            "/v1/status/ping",
            "/v1/server/status/version",
            "/v1/status/analysis/list",
            "/v1/status/updateavailable",
        ):
            async with at.session.get(f"{at.url}{path}") as reply:
                assert reply.status == 200
                said[path] = await reply.json()
                assert said[path]["success"] is True
        assert said["/v1/server/status/version"]["version"].keys() == {"major", "minor", "patch"}
        (module,) = said["/v1/status/analysis/list"]["statuses"]
        assert (module["status"], module["processed"]) == ("Started", 0)
        async with at.session.get(at.url) as reply:
            assert (reply.status, "/v1/vision/detection" in await reply.text()) == (200, True)


async def test_a_picture_that_lies_on_its_side_is_told_of_upright(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "deepstack") as at:
        file = photo(orientation=6)
        _, said = await post(at, DETECTION, form(file))
        assert said["predictions"] == expected(await at.found(file))
        assert all(each["x_max"] <= 70 and each["y_max"] <= 100 for each in said["predictions"])
