"""Reads the form that a request carries: `multipart/form-data` (RFC 7578), or `application/x-www-form-urlencoded`."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from collab_sdk.errors import InvalidRequest

# A form of these protocols has three fields. Each part is some objects in memory.
_MOST_FIELDS = 64
_MOST_BOUNDARY_BYTES = 200
# Who sends a broken form is told so. The parser would also warn in the journal, which anybody could fill then.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


def form_in(body: bytes | bytearray, content_type: str) -> dict[str, bytes]:
    """The fields of a form, by their names; of several with one name the first. A request without a body has none.

    Raises `InvalidRequest`.
    """
    kind, options = parse_options_header(content_type.encode(errors="surrogateescape"))
    if not body:
        return {}
    if kind == b"application/x-www-form-urlencoded":
        return _urlencoded(bytes(body))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _MOST_BOUNDARY_BYTES:
        raise InvalidRequest("this is no form: send multipart/form-data with its boundary in the Content-Type")
    return _multipart(bytes(body), boundary)


def text_of(form: dict[str, bytes], name: str) -> str:
    """The field as text without white space around it; empty if there is no such field."""
    return form.get(name, b"").decode(errors="replace").strip()


def _urlencoded(body: bytes) -> dict[str, bytes]:
    try:
        # A character a byte, both ways.
        fields = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise InvalidRequest(f"the form cannot be read: {error}") from error
    return {name: value.encode("latin-1") for name, value in reversed(fields)}


def _multipart(body: bytes, boundary: bytes) -> dict[str, bytes]:
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.header_name,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
            "on_end": parts.all_ended,
        },
    )
    try:
        parser.write(body)
    except FormParserError as error:
        raise InvalidRequest(f"the form cannot be read: {error}") from error
    if not parts.whole:
        raise InvalidRequest("the form is cut short: its last boundary is missing")
    return parts.fields


class _Parts:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.fields: dict[str, bytes] = {}
        self.whole = False
        self._begun = 0

    def begin(self) -> None:
        self._begun += 1
        if self._begun > _MOST_FIELDS:
            raise InvalidRequest(f"the form has more than {_MOST_FIELDS} parts")
        self._disposition = self._name = self._value = b""
        self._content: list[bytes] = []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest('a part of the form has no name: it needs Content-Disposition: form-data; name="..."')
        self.fields.setdefault(options[b"name"].decode(errors="replace"), b"".join(self._content))

    def all_ended(self) -> None:
        self.whole = True
