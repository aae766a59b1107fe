"""What an index may say, and which of its models is meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.errors import CollabError, InvalidRequest, UnknownModel
from collabd.catalog.pull.index import Index, choose, decode, encode

DIGITS = "ab" * 32


def offer(**changes: Any) -> dict[str, Any]:
    return {
        "name": "net",
        "version": 1,
        "task": "classify",
        "digest": f"sha256:{DIGITS}",
        "archive": {"url": "net.tar", "bytes": 1024, "sha256": DIGITS},
        "licence": "CC0-1.0",
        "source": "made by hand",
        "collabd": "0.1",
    } | changes


def index(*offers: dict[str, Any]) -> Index:
    return decode(json.dumps({"format": 1, "models": offers}).encode(), "index.json")


def test_an_index_survives_being_written() -> None:
    one = index(offer(), offer(version=2))
    assert decode(encode(one), "index.json") == one


def test_it_may_be_toml() -> None:
    text = f"""
        [[models]]
        name = "net"
        version = 1
        task = "classify"
        digest = "sha256:{DIGITS}"
        archive = {{ url = "net.tar", bytes = 1024, sha256 = "{DIGITS}" }}
        licence = "CC0-1.0"
        source = "made by hand"
        collabd = "0.1"
    """
    assert decode(text.encode(), "https://models.example/index.toml?raw=1") == index(offer())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../net"},
        {"name": "a:b"},
        {"version": 0},
        {"task": "sing"},
        {"digest": DIGITS},
        {"archive": {"url": "net.tar", "bytes": 0, "sha256": DIGITS}},
        {"archive": {"url": "net.tar", "bytes": 1, "sha256": "ab"}},
        {"licence": None},
        {"collabd": "new"},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"index.json is not an index of models: .*models\[1\]"):
        index(offer(), offer(version=2, **changes) if "version" not in changes else offer(**changes))


def test_another_format_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="format"):
        decode(b'{"format": 2, "models": []}', "index.json")


def test_a_version_stands_once() -> None:
    with pytest.raises(InvalidRequest, match="offers net:1 twice"):
        index(offer(), offer(licence="MIT"))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_index_are_refused_in_one_way(data: bytes) -> None:
    for name in ("index.json", "index.toml"):
        try:
            decode(data, name)
        except CollabError as error:
            assert isinstance(error, InvalidRequest)  # noqa: PT017


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    (found,) = index(offer(licence="free\x1b[2J", source="a\nb")).models
    assert (found.licence, found.source) == ("free", "a; b")


THREE = index(offer(), offer(version=2, collabd="0.2"), offer(version=10, collabd="1.0.1"))


@pytest.mark.parametrize(
    ("wanted", "running", "version"),
    [("net", "0.1.0", 1), ("net", "0.2", 2), ("net", "0.10.0", 2), ("net", "1.0.1", 10), ("net:1", "1.0.1", 1)],
)
def test_a_name_means_the_newest_version_that_is_read_here(wanted: str, running: str, version: int) -> None:
    assert choose(THREE, wanted, running=running).version == version


def test_a_model_for_a_newer_collabd_says_so() -> None:
    with pytest.raises(InvalidRequest, match=r"net:10 needs collabd 1\.0\.1 or newer, and 0\.2\.0\.dev1 runs here"):
        choose(THREE, "net:10", running="0.2.0.dev1")


def test_what_is_not_offered_is_answered_with_what_is() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'nett' \(it has: net\), did you mean 'net'\?"):
        choose(THREE, "nett", running="1.0")
    with pytest.raises(UnknownModel, match="no version '3' of net; it has 1, 2, 10"):
        choose(THREE, "net:3", running="1.0")
    with pytest.raises(UnknownModel, match="it has: none"):
        choose(index(), "net", running="1.0")
