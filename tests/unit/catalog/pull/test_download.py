"""Downloads over a real connection: whole, broken off, gone on with, and of a file that has changed."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collab_sdk.errors import DownloadFailed, InvalidPackage, InvalidRequest
from collabd.catalog.pull.download import downloaded
from collabd.catalog.pull.index import Archive
from tests.file_server import FileServer, serving

CONTENT = os.urandom(300_000)
ARCHIVE = Archive("net.tar", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
BROKEN = 100_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "net.tar").write_bytes(CONTENT)
    with serving(folder) as it:
        yield it


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fetch(url: str, cache: Path) -> tuple[bytes, list[int]]:
    """What came, and what was told of it."""
    told: list[int] = []
    with downloaded(url, ARCHIVE, cache, at=told.append) as path:
        return path.read_bytes(), told


def broken(server: FileServer, cache: Path) -> int:
    """Breaks a download off; how many bytes are there."""
    server.breaks_after = BROKEN
    with pytest.raises(DownloadFailed, match="run the command again to go on from there"):
        fetch(f"{server.url}net.tar", cache)
    (part,) = cache.iterdir()
    return part.stat().st_size


def test_all_of_it_comes_and_nothing_stays(server: FileServer, cache: Path) -> None:
    content, told = fetch(f"{server.url}net.tar", cache)
    assert content == CONTENT
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    assert list(cache.iterdir()) == []
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_file_of_this_machine_is_as_good(server: FileServer, cache: Path) -> None:
    assert fetch((server.folder / "net.tar").as_uri(), cache)[0] == CONTENT
    assert server.asked == []


def test_it_goes_on_where_it_broke_off(server: FileServer, cache: Path) -> None:
    there = broken(server, cache)
    assert 0 < there <= BROKEN
    content, told = fetch(f"{server.url}net.tar", cache)
    assert content == CONTENT
    assert server.asked == [("/net.tar", None), ("/net.tar", f"bytes={there}-")]
    assert told[0] > there


def test_a_server_without_ranges_begins_again(server: FileServer, cache: Path) -> None:
    broken(server, cache)
    server.ranges = False
    assert fetch(f"{server.url}net.tar", cache)[0] == CONTENT


def test_what_is_left_of_another_file_is_thrown_away(server: FileServer, cache: Path) -> None:
    there = broken(server, cache)
    (part,) = cache.iterdir()
    part.write_bytes(os.urandom(there))
    assert fetch(f"{server.url}net.tar", cache)[0] == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={there}-", None]


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 1])
def test_more_than_there_should_be_is_thrown_away(server: FileServer, cache: Path, left: int) -> None:
    cache.mkdir()
    (cache / f"{ARCHIVE.sha256}.part").write_bytes(bytes(left))
    assert fetch(f"{server.url}net.tar", cache)[0] == CONTENT


def test_a_whole_download_that_was_not_used_is_not_fetched_again(server: FileServer, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{ARCHIVE.sha256}.part").write_bytes(CONTENT)
    assert fetch(f"{server.url}net.tar", cache)[0] == CONTENT
    assert server.asked == []


def test_a_file_that_became_shorter_is_noticed(server: FileServer, cache: Path) -> None:
    there = broken(server, cache)
    (server.folder / "net.tar").write_bytes(CONTENT[: there // 2])
    with pytest.raises(DownloadFailed, match=r"ended after 0\.\d of 0\.3 MB"):
        fetch(f"{server.url}net.tar", cache)
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={there}-", None]


@pytest.mark.parametrize(
    "change",
    [bytes(len(CONTENT)), CONTENT + b"x", CONTENT + bytes(1_000_000)],
    ids=["another", "a byte more", "much more"],  # each worker of xdist has other bytes
)
def test_another_file_than_promised_is_refused_and_not_kept(server: FileServer, cache: Path, change: bytes) -> None:
    (server.folder / "net.tar").write_bytes(change)
    with pytest.raises(InvalidPackage, match="not what the index promises"):
        fetch(f"{server.url}net.tar", cache)
    (part,) = cache.iterdir()
    assert part.stat().st_size == 0
    assert len(server.asked) == 1


def test_a_server_that_encodes_what_it_sends_is_refused(server: FileServer, cache: Path) -> None:
    server.says = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadFailed, match="encodes the file as gzip"):
        fetch(f"{server.url}net.tar", cache)


def test_a_missing_file_and_a_dead_server_say_what_is_wrong(server: FileServer, cache: Path) -> None:
    with pytest.raises(DownloadFailed, match=re.escape(f"{server.url}other.tar: 404 Not Found")):
        fetch(f"{server.url}other.tar", cache)
    with serving(server.folder) as gone:
        pass
    with pytest.raises(DownloadFailed, match="Connection refused"):
        fetch(f"{gone.url}net.tar", cache)


def test_two_at_once_do_not_mix(server: FileServer, cache: Path) -> None:
    with (
        downloaded(f"{server.url}net.tar", ARCHIVE, cache, at=lambda _: None),
        pytest.raises(InvalidRequest, match="another collabctl is downloading"),
    ):
        fetch(f"{server.url}net.tar", cache)


def test_what_was_left_long_ago_is_removed(server: FileServer, cache: Path) -> None:
    cache.mkdir()
    old, new = cache / f"{'1' * 64}.part", cache / f"{'2' * 64}.part"
    for path, days in ((old, 8), (new, 6)):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    fetch(f"{server.url}net.tar", cache)
    assert list(cache.iterdir()) == [new]
