"""What programs send and read: each makes a `tests.doors.bed.Caller` of the address of a door."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import requests
from PIL import Image
from pydoods import PyDOODS

from tests.doors.bed import Caller, Found

_TIMEOUT_S = 60


def deepstack(address: str, *, least: float, path: str = "/v1/vision/detection") -> Caller:
    """A form as requests makes it of raw bytes, each on a new connection, as Frigate and deepstack-python send it."""

    def call(file: bytes) -> Sequence[Found]:
        fields = {"api_key": "", "min_confidence": least}
        reply = requests.post(f"http://{address}{path}", data=fields, files={"image": file}, timeout=_TIMEOUT_S)
        reply.raise_for_status()
        return [in_pixels(each) for each in reply.json()["predictions"]]

    return call


def in_pixels(prediction: Mapping[str, Any]) -> Found:
    """One prediction of DeepStack's protocol."""
    x1, y1, x2, y2 = (prediction[side] for side in ("x_min", "y_min", "x_max", "y_max"))
    return Found(prediction["label"], prediction["confidence"], (x1, y1, x2, y2))


def doods(address: str, *, least: float) -> Caller:
    """pydoods, as Home Assistant's integration uses it."""
    client = PyDOODS(f"http://{address}", timeout=_TIMEOUT_S)

    def call(file: bytes) -> Sequence[Found]:
        said = client.detect(file, dconfig={"*": least * 100}, detector_name="default")
        return [in_shares(each, file) for each in said["detections"]]

    return call


def in_shares(detection: Mapping[str, Any], file: bytes) -> Found:
    """One detection of DOODS' protocol, whose box is in shares of the picture."""
    width, height = Image.open(io.BytesIO(file)).size
    sides = ("left", width), ("top", height), ("right", width), ("bottom", height)
    x1, y1, x2, y2 = (detection[side] * length for side, length in sides)
    return Found(detection["label"], detection["confidence"] / 100, (x1, y1, x2, y2))
