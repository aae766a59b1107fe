"""Where an index and its archives lie: files, or behind http and https. Both are read from any byte on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import requests

from collab_sdk.errors import DownloadFailed, InvalidRequest, RequestTooLarge

_CHUNK = 1 << 16
_REMOTE = ("http", "https")
# Seconds to connect, and between two pieces that arrive.
_PATIENCE = (10.0, 30.0)
_PARTIAL, _NOT_SATISFIABLE = 206, 416


class Arriving(NamedTuple):
    """The bytes from `start` on, which is 0 where the place cannot begin elsewhere."""

    start: int
    chunks: Iterator[bytes]


def locate(text: str) -> str:
    """The URL of an index that a person named by its path or URL. Raises `InvalidRequest`."""
    parts = urlsplit(text)
    if parts.scheme not in {"file", *_REMOTE} or "://" not in text:
        return Path(text).expanduser().absolute().as_uri()
    if "@" in parts.netloc:
        raise InvalidRequest("the URL of an index has a user name in it: collabd sends no passwords")
    return text


def is_remote(url: str) -> bool:
    """Whether it comes over a network."""
    return urlsplit(url).scheme in _REMOTE


def beside(url: str, suffix: str) -> str:
    """The URL with a suffix to the name of its file."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path + suffix))


def resolve(index: str, relative: str) -> str:
    """The URL of what an index at one URL names. Raises `InvalidRequest`."""
    url = urljoin(index, relative)
    scheme = urlsplit(url).scheme
    # What came over a network has no business with the files of this machine.
    if scheme not in _REMOTE and not (scheme == "file" and not is_remote(index)):
        raise InvalidRequest(f"the index names {relative[:200]!r}, which is no http or https URL")
    return url


def read(url: str, most_bytes: int) -> bytes:
    """All of a small file. Raises `DownloadFailed`, `RequestTooLarge` and, for a file of this machine, `OSError`."""
    content = b""
    with opened(url, 0) as stream:
        for chunk in stream.chunks:
            content += chunk
            if len(content) > most_bytes:
                raise RequestTooLarge(f"{url} has more than {most_bytes} bytes")
    return content


@contextmanager
def opened(url: str, start: int) -> Iterator[Arriving]:
    """Surrounds the reading from byte `start` on. Raises as `read` does."""
    if is_remote(url):
        with _fetched(url, start) as stream:
            yield stream
    else:
        with Path(unquote(urlsplit(url).path)).open("rb") as file:
            file.seek(start)
            yield Arriving(start, iter(lambda: file.read(_CHUNK), b""))


@contextmanager
def _fetched(url: str, start: int) -> Iterator[Arriving]:
    # What a server would compress on its way would not have the length and the digest that the index states.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        reply = requests.get(url, headers=headers, stream=True, timeout=_PATIENCE)
    except requests.RequestException as error:
        raise DownloadFailed(f"{url}: {_reason(error)}") from error
    with reply:
        if start and reply.status_code == _NOT_SATISFIABLE:
            # The file has become shorter, so what is there is not its beginning.
            with _fetched(url, 0) as stream:
                yield stream
            return
        if not reply.ok:
            raise DownloadFailed(f"{url}: {reply.status_code} {reply.reason}")
        if (encoding := reply.headers.get("Content-Encoding", "identity")) != "identity":
            raise DownloadFailed(f"{url}: the server encodes the file as {encoding[:40]}, which was not asked for")
        begins = _begins(reply) if reply.status_code == _PARTIAL else 0
        yield Arriving(begins, _chunks(url, reply))


def _chunks(url: str, reply: requests.Response) -> Iterator[bytes]:
    try:
        yield from reply.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise DownloadFailed(f"{url}: {_reason(error)}: run the command again to go on from there") from error


def _begins(reply: requests.Response) -> int:
    """Where a part begins, as `Content-Range: bytes 21010-47021/47022` says; 0 if it does not."""
    found = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    return int(found[1]) if found else 0


def _reason(error: Exception) -> str:
    """The innermost cause, which says most."""
    while (inner := error.__cause__ or error.__context__ or getattr(error, "reason", None)) is not None:
        if not isinstance(inner, Exception):
            break
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
