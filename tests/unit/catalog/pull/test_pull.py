"""A package from an index to a directory, and all that may be wrong on its way."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collab_sdk.errors import CollabError, DownloadFailed, InvalidPackage, InvalidRequest, RequestTooLarge
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.pull import places
from collabd.catalog.pull.index import choose
from collabd.catalog.pull.publish import INDEX, publish
from collabd.catalog.pull.pull import IndexAt, pull
from collabd.catalog.pull.trust import Trust, public_text, signing_key
from collabd.catalog.trial.apart import try_apart
from tests.file_server import FileServer


def pinned(folder: Path) -> Trust:
    return Trust(sha256=hashlib.sha256((folder / INDEX).read_bytes()).hexdigest())


def pull_from(where: str, tmp_path: Path, trust: Trust, **changes: Any) -> Package:
    source = IndexAt.read(where, trust)
    offer = choose(source.index, "tiny", running="0.1.0")
    options: dict[str, Any] = {"most_bytes": 1 << 24, "try_out": try_apart} | changes
    (tmp_path / "in").mkdir(exist_ok=True)
    return pull(source, offer, tmp_path / "in", cache=tmp_path / "cache", at=lambda _: None, **options)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the only offer of the index."""
    index = json.loads((folder / INDEX).read_text())
    change(index["models"][0])
    (folder / INDEX).write_text(json.dumps(index))


def offer_archive(folder: Path, data: bytes) -> None:
    """Offer another archive, of which all figures are right."""

    def change(offer: dict[str, Any]) -> None:
        (folder / offer["archive"]["url"]).write_bytes(data)
        offer["archive"] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    rewrite(folder, change)


@pytest.mark.parametrize("remote", [False, True])
def test_a_package_arrives_as_it_was_with_its_licence(
    folder: Path, server: FileServer, tiny_package: Package, tmp_path: Path, remote: bool
) -> None:
    where = f"{server.url}{INDEX}" if remote else str(folder / INDEX)
    pulled = pull_from(where, tmp_path, pinned(folder))
    assert pulled.digest == tiny_package.digest
    assert packages.load(pulled.path) == pulled
    assert (pulled.path / "LICENCE").read_bytes() == (tiny_package.path / "LICENCE").read_bytes()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == []


def test_what_comes_over_a_network_must_be_vouched_for(server: FileServer, folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="comes over a network, where it may be changed"):
        IndexAt.read(f"{server.url}{INDEX}", Trust())
    assert server.asked == []
    assert IndexAt.read(str(folder / INDEX), Trust()).index.models


def test_a_signed_index_is_enough(tiny_package: Package, server: FileServer, folder: Path, tmp_path: Path) -> None:
    key = signing_key(tmp_path / "key")
    publish([tiny_package], folder, signer=key)
    pull_from(f"{server.url}{INDEX}?raw=1", tmp_path, Trust(key=public_text(key)))
    assert [path for path, _ in server.asked][:2] == [f"/{INDEX}", f"/{INDEX}.sig"]
    publish([tiny_package], folder)
    with pytest.raises(DownloadFailed, match="404"):
        IndexAt.read(f"{server.url}{INDEX}", Trust(key=public_text(key)))


def test_it_is_tried_out_before_it_is_kept(folder: Path, tmp_path: Path) -> None:
    def refuse(_: Path) -> None:
        raise InvalidPackage("it draws random numbers")

    with pytest.raises(InvalidPackage, match="random numbers"):
        pull_from(str(folder / INDEX), tmp_path, Trust(), try_out=refuse)
    assert list((tmp_path / "in").iterdir()) == []


def test_an_archive_that_is_too_large_is_not_even_asked_for(server: FileServer, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestTooLarge, match="more than the limit of 100 bytes"):
        pull_from(f"{server.url}{INDEX}", tmp_path, pinned(folder), most_bytes=100)
    assert [path for path, _ in server.asked] == [f"/{INDEX}"]


def test_another_package_than_was_announced_is_refused(folder: Path, tmp_path: Path) -> None:
    rewrite(folder, lambda offer: offer.update(digest=f"sha256:{'0' * 64}"))
    with pytest.raises(InvalidPackage, match="announced as sha256:000"):
        pull_from(str(folder / INDEX), tmp_path, Trust())
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize(("field", "value"), [("licence", "MIT"), ("source", "heaven"), ("task", "tensors")])
def test_what_was_shown_is_what_is_installed(folder: Path, tmp_path: Path, field: str, value: str) -> None:
    rewrite(folder, lambda offer: offer.update({field: value}))
    with pytest.raises(InvalidPackage, match=f"not as the index says: its {field} is"):
        pull_from(str(folder / INDEX), tmp_path, Trust())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("name", ["model.onnx", "../model.onnx", "/etc/passwd"])
def test_links_and_paths_that_lead_elsewhere_are_refused(folder: Path, tmp_path: Path, name: str, kind: bytes) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    offer_archive(folder, data.getvalue())
    with pytest.raises(InvalidPackage, match=r"not a regular file|has the file"):
        pull_from(str(folder / INDEX), tmp_path, Trust())
    assert list((tmp_path / "in").iterdir()) == []


def test_a_compressed_archive_is_refused_unread(folder: Path, tmp_path: Path, tiny_package: Package) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.add(tiny_package.path, arcname=".")
    offer_archive(folder, data.getvalue())
    with pytest.raises(InvalidPackage, match="not a package archive"):
        pull_from(str(folder / INDEX), tmp_path, Trust())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_remote_index_names_no_files_of_this_machine(
    server: FileServer, folder: Path, tmp_path: Path, url: str
) -> None:
    rewrite(folder, lambda offer: offer["archive"].update(url=url))
    with pytest.raises(InvalidRequest, match="which is no http or https URL"):
        pull_from(f"{server.url}{INDEX}", tmp_path, pinned(folder))


def test_a_local_index_may_name_a_server(server: FileServer, folder: Path, tmp_path: Path) -> None:
    rewrite(folder, lambda offer: offer["archive"].update(url=f"{server.url}{offer['archive']['url']}"))
    pull_from(str(folder / INDEX), tmp_path, Trust())
    assert len(server.asked) == 1


def test_where_an_index_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert places.locate("a b/index.json") == (tmp_path / "a b/index.json").as_uri()
    assert places.locate("https://models.example/index.json") == "https://models.example/index.json"
    assert places.beside("https://models.example/i.json?x=1", ".sig") == "https://models.example/i.json.sig?x=1"
    with pytest.raises(InvalidRequest, match="sends no passwords"):
        places.locate("https://me:secret@models.example/index.json")


def test_an_index_may_be_missing_or_endless(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        IndexAt.read(str(tmp_path / "none.json"), Trust())
    (folder / INDEX).write_bytes(b" " * (5 << 20))
    with pytest.raises(RequestTooLarge, match="more than 4194304 bytes"):
        IndexAt.read(str(folder / INDEX), Trust())


def test_a_package_of_the_same_name_becomes_the_next_version(
    tiny_package: Package, folder: Path, tmp_path: Path
) -> None:
    manifest = msgspec.structs.replace(tiny_package.manifest, accuracy={"top1": 0.5})
    changed = packages.rewritten(tiny_package, manifest, tmp_path / "changed")
    for _ in range(2):
        index, _ = publish([changed, tiny_package], folder)
        assert [(offer.version, offer.digest) for offer in index.models] == [
            (1, tiny_package.digest),
            (2, changed.digest),
        ]
    pull_newest = partial(pull_from, str(folder / INDEX), tmp_path, Trust())
    assert pull_newest().digest == changed.digest


def test_what_lies_in_the_way_of_an_index_is_not_replaced(tiny_package: Package, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("notes of mine")
    with pytest.raises(CollabError, match="not an index of models"):
        publish([tiny_package], tmp_path)
    assert (tmp_path / INDEX).read_text() == "notes of mine"
