"""DOODS' protocol through a door."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest

from collab_sdk import Detections
from collabd.keys.tokens import line, new_token
from tests.integration.device.conftest import Factory
from tests.integration.device.door_parts import AtDoor, at_door, photo


async def detect(at: AtDoor, body: Any, **options: Any) -> tuple[int, Any]:
    kind = {"data": body} if isinstance(body, bytes | io.BytesIO) else {"json": body}
    async with at.session.post(f"{at.url}/detect", **kind, **options) as reply:
        assert reply.content_type == "application/json"
        return reply.status, await reply.json()


def call(file: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """A body as pydoods makes it."""
    data = base64.b64encode(photo() if file is None else file).decode()
    return {"data": data, "detector_name": "default", "detect": {"*": 0}, "id": ""} | fields


def boxes(said: dict[str, Any]) -> list[list[float]]:
    return [[each[side] for side in ("left", "top", "right", "bottom")] for each in said["detections"]]


def shares(found: Detections, width: int = 100, height: int = 70) -> list[Any]:
    return [
        pytest.approx((x1 / width, y1 / height, x2 / width, y2 / height), abs=1e-6)
        for _, _, _, (x1, y1, x2, y2) in found
    ]


async def test_what_pydoods_sends_gets_the_answer_of_the_socket(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "doods") as at:
        status, said = await detect(at, call(id="porch"))
        found = await at.found(photo())
        assert (status, said["id"]) == (200, "porch")
        assert boxes(said) == shares(found)
        assert [each["label"] for each in said["detections"]] == list(found.class_name)
        percent = [each["confidence"] for each in said["detections"]]
        assert percent == pytest.approx((found.confidence * 100).tolist(), abs=1e-3)
        assert percent == sorted(percent, reverse=True)


async def test_boxes_are_shares_of_the_picture_as_it_is_shown(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "doods") as at:
        file = photo(orientation=6)
        _, said = await detect(at, call(file))
        assert boxes(said) == shares(await at.found(file), 70, 100)


async def test_the_detectors_are_listed_with_their_labels(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "doods", labels=["dog", "cat"]) as at:
        async with at.session.get(f"{at.url}/detectors") as reply:
            listed = (await reply.json())["detectors"]
        assert [each["name"] for each in listed] == ["default", "finder"]
        assert {each["model"] for each in listed} == {"finder"}
        assert all(set(each["labels"]) == {"dog", "cat"} and each["width"] == each["height"] == 0 for each in listed)
        async with at.session.get(f"{at.url}/version") as reply:
            assert (await reply.json()).keys() == {"version"}


async def test_thresholds_are_by_label_and_by_region(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "doods", min_confidence=0.98) as at:
        found = list(await at.found(photo()))
        dogs = [each for each in found if each.class_name == "dog"]
        assert 0 < len(dogs) < len(found)

        async def told(**fields: Any) -> list[tuple[str, float]]:
            status, said = await detect(at, call(**fields))
            assert status == 200, said
            return [(each["label"], each["confidence"]) for each in said["detections"]]

        def these(wanted: Any) -> list[Any]:
            return [(each.class_name, pytest.approx(each.confidence * 100, abs=1e-3)) for each in found if wanted(each)]

        assert await told(detect={"dog": 0}) == these(lambda each: each.class_name == "dog")
        assert await told(detect={"*": 97}) == these(lambda each: each.confidence >= 0.97)
        # A label's own threshold counts, and not the one of the others.
        assert await told(detect={"*": 0, "dog": 100}) == these(lambda each: each.class_name != "dog")
        # Without any, the door's own counts.
        assert await told(detect={}) == these(lambda each: each.confidence >= 0.98)
        assert await told(detect=None) == these(lambda each: each.confidence >= 0.98)
        edge = {"top": 0, "left": 0.95, "bottom": 1, "right": 1, "detect": {"*": 0}}
        covered = these(lambda each: each.xyxy[0] >= 95)
        touched = these(lambda each: each.xyxy[2] >= 95)
        assert 0 < len(covered) < len(touched)
        assert await told(detect={}, regions=[edge | {"covers": True}]) == covered
        assert await told(detect={}, regions=[edge | {"covers": False, "id": "edge"}]) == touched
        assert await told(detect={}, regions=[edge | {"left": 0, "right": 0.1}]) == []


async def test_bad_calls_are_refused_in_words(bench: Factory, tmp_path: Path) -> None:
    calls: list[tuple[Any, int, str]] = [
        (call(data="http://camera/now.jpg"), 400, "fetches nothing"),
        (call(data="rtsp://camera"), 400, "fetches nothing"),
        (call(data="@@@"), 400, "not base64"),
        (call(data="aGk"), 400, "not base64"),
        (call(data=""), 400, "no picture"),
        (call(b"no picture"), 400, "image"),
        (call(detect={"*": 101}), 400, "<= 100"),
        (call(detect={"*": "much"}), 400, "float"),
        (call(preprocess=["grayscale"]), 400, "preprocess"),
        (call(image="jpg"), 400, "draws nothing"),
        (call(detector_name="ground"), 400, "ground is a segmenter"),
        (call(detector_name="tiny"), 400, "tiny is a classifier"),
        (call(detector_name="nobody"), 404, "nobody"),
        (b"{", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"data": "\xff"}', 400, "JSON"),
        (io.BytesIO(bytes(2**20 + 1)), 413, "more than 1048576 bytes"),
    ]
    async with at_door(bench, tmp_path, "doods") as at:
        for body, status, words in calls:
            refused, said = await detect(at, body)
            assert refused == status, said
            assert said.keys() == {"error"}
            assert words in said["error"], said
        for method, path, status in (("GET", "/detect", 405), ("POST", "/image", 404)):
            async with at.session.request(method, f"{at.url}{path}") as reply:
                assert (reply.status, (await reply.json()).keys()) == (status, {"error"})


async def test_a_key_is_a_header(bench: Factory, tmp_path: Path) -> None:
    token, tokens = new_token(), tmp_path / "door.tokens"
    tokens.write_text(line("home-assistant", token))
    tokens.chmod(0o400)
    async with at_door(bench, tmp_path, "doods", token_file=str(tokens)) as at:
        for headers, status in (({}, 401), ({"doods-auth-key": new_token()}, 401), ({"doods-auth-key": token}, 200)):
            answered, said = await detect(at, call(), headers=headers)
            assert answered == status, said
            async with at.session.get(f"{at.url}/detectors", headers=headers) as reply:
                assert reply.status == status
        async with at.session.get(f"{at.url}/") as reply:
            assert reply.status == 200
        (report,) = await at.bench.client.doors()
        assert (report["calls"], report["failed"]) == (1, 0)


async def test_a_device_without_a_detector_says_so(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "doods", model="ground") as at:
        status, said = await detect(at, call())
        assert (status, "ground is a segmenter" in said["error"]) == (400, True)
