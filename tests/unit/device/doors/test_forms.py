"""Forms: what a client wrote comes out, byte for byte, and nothing comes out of what was cut."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from collab_sdk.errors import InvalidRequest
from collabd.device.doors.deepstack import least_confidence
from collabd.device.doors.forms import form_in, text_of

names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=20)
fields = st.dictionaries(names, st.binary(max_size=300), min_size=1, max_size=8)


def written(sent: dict[str, bytes]) -> tuple[bytes, str]:
    """A form as requests writes it, and its Content-Type."""
    request = requests.Request("POST", "http://x/", files=sent).prepare()
    assert isinstance(request.body, bytes)
    return request.body, request.headers["Content-Type"]


@given(fields)
@example({"image": b"\r\n--"})
@example({"image": b"\r\n\r\n\n\r"})
def test_a_form_comes_out_as_it_went_in(sent: dict[str, bytes]) -> None:
    body, kind = written(sent)
    assert form_in(body, kind) == sent
    assert form_in(bytearray(body), kind) == sent


@given(fields, st.data())
def test_a_form_that_is_cut_short_is_refused(sent: dict[str, bytes], data: st.DataObject) -> None:
    body, kind = written(sent)
    # Without its last line end it is whole.
    kept = data.draw(st.integers(1, len(body) - 5))
    with pytest.raises(InvalidRequest):
        form_in(body[:kept], kind)


@given(fields)
def test_a_form_without_files_may_be_urlencoded(sent: dict[str, bytes]) -> None:
    assert form_in(urlencode(sent).encode(), "application/x-www-form-urlencoded; charset=utf-8") == sent


def test_of_several_fields_with_one_name_the_first_counts() -> None:
    part = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n%d\r\n'
    assert form_in(part % 1 + part % 2 + b"--X--\r\n", "multipart/form-data; boundary=X") == {"a": b"1"}
    assert form_in(b"a=1&a=2", "application/x-www-form-urlencoded") == {"a": b"1"}


def test_nobody_fills_the_memory_with_parts() -> None:
    part = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    with pytest.raises(InvalidRequest, match="more than 64 parts"):
        form_in(part * 100 + b"--X--\r\n", "multipart/form-data; boundary=X")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        form_in(b"a=1&" * 100, "application/x-www-form-urlencoded")
    header = b"X-Long: " + b"x" * 5000
    with pytest.raises(InvalidRequest, match="cannot be read"):
        form_in(b"--X\r\n" + header + b"\r\n\r\n\r\n--X--\r\n", "multipart/form-data; boundary=X")


def test_a_broken_form_leaves_nothing_in_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        form_in(b"--X\r\nA\xff: b\r\n\r\n\r\n--X--\r\n", "multipart/form-data; boundary=X")
    assert not caplog.records


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300]
)
def test_what_is_no_form_is_refused(kind: str) -> None:
    assert form_in(b"", kind) == {}
    with pytest.raises(InvalidRequest, match="no form"):
        form_in(b"x", kind)


def test_text_is_read_leniently() -> None:
    assert text_of({"a": b" key\r\n"}, "a") == "key"
    assert text_of({"a": b"\xff"}, "a") == "\ufffd"
    assert text_of({}, "a") == ""


@given(st.floats(0, 1))
def test_a_confidence_is_a_number_from_0_to_1(least: float) -> None:
    assert least_confidence({"min_confidence": str(least).encode()}) == least


@pytest.mark.parametrize("said", ["-0.1", "1.1", "nan", "inf", "40%", "0,4", "\0"])
def test_another_confidence_is_refused(said: str) -> None:
    with pytest.raises(InvalidRequest, match="number from 0 to 1"):
        least_confidence({"min_confidence": said.encode()})
