"""The body of a call through the door `doods`."""

from __future__ import annotations

import base64
import json

import msgspec

from collab_sdk.errors import InvalidRequest
from collabd.device.doors.doods import Box, detect_request

WORDS = (
    *('"data": ', '"detector_name": ', '"detect": {', '"regions": [{', '"covers": true', '"id": ', '"*": 50', "null"),
    *('"top": 0.1', '"left": 0', '"bottom": 1', '"right": 0.9', '"preprocess": ', '"image": ', "/9j/4A==", "1e400"),
    *("http://", "rtsp://", "\\u0000", "\\ud800", "[[[[[[[["),
)
_BOX = Box(top=0.2, left=0.2, bottom=0.4, right=0.4)


def check(data: bytes) -> None:
    """`InvalidRequest`, or a call that is written and read again alike, with a file that came in it."""
    try:
        call, file = detect_request(data)
    except InvalidRequest:
        return
    assert 0 < len(file) <= len(data)
    assert base64.b64decode(call.data) == file
    assert detect_request(msgspec.json.encode(call)) == (call, file)
    assert isinstance(call.wants("dog", 50.0, _BOX), bool)
    for thresholds in (call.detect or {}, *(region.detect for region in call.regions or ())):
        assert all(0 <= least <= 100 for least in thresholds.values())


def seeds() -> list[bytes]:
    """What pydoods sends, with and without regions."""
    data = base64.b64encode(b"\xff\xd8\xff\xe0").decode()
    region = {"id": "r", "top": 0.1, "left": 0, "bottom": 1, "right": 0.9, "detect": {"dog": 40}, "covers": True}
    calls = [
        {"data": data, "detector_name": "default", "detect": {"*": 50, "car": 60}, "id": ""},
        {"data": f"{data}\n", "detector_name": "nanodet_g", "detect": None, "regions": [region]},
        {"data": "http://camera/now.jpg", "detect": {}},
        {"data": data, "preprocess": ["grayscale"], "image": "jpg", "throttle": 1.5},
        {"data": data, "id": 7, "image": False, "regions": []},
    ]
    return [json.dumps(call).encode() for call in calls]
