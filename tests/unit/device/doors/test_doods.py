"""Calls of DOODS: what they hold, and which things they want."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.errors import InvalidRequest
from collabd.device.doors.doods import Box, DetectRequest, WatchedRegion, detect_request

shares = st.floats(0, 1)
thresholds = st.dictionaries(st.sampled_from(["*", "dog", "cat"]), st.floats(0, 100), max_size=3)
regions = st.builds(
    WatchedRegion, top=shares, left=shares, bottom=shares, right=shares, detect=thresholds, covers=st.booleans()
)
boxes = st.builds(Box, top=shares, left=shares, bottom=shares, right=shares)
calls = st.builds(DetectRequest, detect=thresholds, regions=st.lists(regions, max_size=3).map(tuple))


@given(st.binary(min_size=1, max_size=200), st.integers(1, 80))
def test_the_picture_comes_out_as_it_went_in(file: bytes, width: int) -> None:
    text = base64.b64encode(file).decode()
    lines = "\r\n".join(text[start : start + width] for start in range(0, len(text), width))
    for data in (text, lines):
        assert detect_request(json.dumps({"data": data, "unknown": [1]}).encode())[1] == file


@given(calls, st.sampled_from(["dog", "cup"]), st.floats(0, 100), boxes)
def test_a_thing_is_wanted_for_the_whole_picture_or_for_a_region(
    call: DetectRequest, label: str, percent: float, box: Box
) -> None:
    """Each rule as the protocol's documentation gives it."""
    asked = [call.detect or {}]
    for region in call.regions or ():
        within = box.top >= region.top and box.bottom <= region.bottom
        beside = box.left >= region.left and box.right <= region.right
        apart = box.bottom < region.top or box.top > region.bottom or box.right < region.left or box.left > region.right
        if (within and beside) if region.covers else not apart:
            asked.append(region.detect)
    enough = [each.get(label, each.get("*", 101.0)) for each in asked]
    assert call.wants(label, percent, box) == any(percent >= least for least in enough)


@pytest.mark.parametrize(
    "data", ["http://x/a.jpg", "https://x", "rtsp://x", "ftp://x", "file:///etc/passwd", "data:image/png;base64,"]
)
def test_nothing_is_fetched(data: str) -> None:
    with pytest.raises(InvalidRequest, match="fetches nothing"):
        detect_request(json.dumps({"data": data}).encode())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b'{"data": 5}', b'{"detect": {"*": -1}}', b"\xff", b"[" * 10**6]
)
def test_what_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        detect_request(body)
