"""A form as it comes through the door `deepstack`: the first line is the Content-Type, the rest is the body."""

from __future__ import annotations

from collab_sdk.errors import InvalidRequest
from collabd.device.doors.deepstack import least_confidence
from collabd.device.doors.forms import form_in, text_of

_KIND = b"multipart/form-data; boundary=XX\n"
_URLENCODED = b"application/x-www-form-urlencoded\n"
WORDS = (
    *("--XX\r\n", "\r\n--XX", "--XX--\r\n", "\r\n\r\n", "boundary=", "multipart/form-data", 'boundary="X"'),
    *("Content-Disposition: form-data; ", 'name="image"', 'name="api_key"', 'name="min_confidence"', 'filename="a"'),
    *("filename*=utf-8''a", "Content-Type: image/jpeg", "Content-Transfer-Encoding: base64", "0.4", "1e-400", "nan"),
    *("application/x-www-form-urlencoded", "image=", "&", "%00"),
)


def check(data: bytes) -> None:
    """`InvalidRequest`, or fields that came in the body; a whole form of ours is read as it is."""
    kind, _, body = data.partition(b"\n")
    try:
        form = form_in(body, kind.decode("latin-1"))
    except InvalidRequest:
        return
    # A field may be shorter than it came (%41), never longer.
    assert sum(map(len, form.values())) <= len(body)
    assert "\0" not in text_of(form, "api_key") or b"\0" in body or b"%00" in body
    try:
        least = least_confidence(form)
    except InvalidRequest:
        return
    assert least is None or 0 <= least <= 1


def seeds() -> list[bytes]:
    """What Frigate, a browser and requests send."""
    part = b'--XX\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    key, least = part % (b"api_key", b"", b"secret"), part % (b"min_confidence", b"", b"0.45")
    raw = part % (b"image", b'; filename="image"', b"\xff\xd8\xff\xe0")
    typed = part % (b"image", b'; filename="a.jpg"\r\nContent-Type: image/jpeg', b"\xff\xd8\r\n--X\xff")
    bodies = [key + raw, typed + least, key + least + raw, raw[:-2], b""]
    forms = [_KIND + body + b"--XX--\r\n" for body in bodies]
    return [*forms, _URLENCODED + b"api_key=secret&min_confidence=0.4", b"application/json\n{}", b"\n"]
