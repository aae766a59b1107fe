from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from collab_sdk.errors import InvalidPackage, InvalidRequest, UnknownModel, UnknownPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from collabd.catalog.store.store import Store


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "own", tmp_path / "shipped"


def variant(package: Package, path: Path, *, name: str, licence: str = "other") -> Package:
    """Another package made from one: renamed, and by its licence of another digest."""
    manifest = msgspec.structs.replace(package.manifest, name=name)
    return packages.write(path, manifest, model=(package.path / "model.onnx").read_bytes(), licence=licence)


def test_no_root_need_exist(roots: tuple[Path, Path]) -> None:
    store = Store(roots)
    assert (store.packages(), store.problems()) == ([], [])
    with pytest.raises(UnknownModel, match="these are: none"):
        store.get("tiny")


def test_an_installed_package_is_found_by_name_and_digest(roots: tuple[Path, Path], tiny_package: Package) -> None:
    store = Store(roots)
    installed = store.install(tiny_package.path)
    assert installed.path == roots[0] / "tiny"
    assert store.packages() == [installed]
    assert store.get("tiny") == store.by_digest(tiny_package.digest) == installed


def test_what_another_process_installs_is_seen(roots: tuple[Path, Path], tiny_package: Package) -> None:
    store = Store(roots)
    assert store.packages() == []
    Store(roots).install(tiny_package.path)
    assert [package.digest for package in store.packages()] == [tiny_package.digest]


def test_installing_again_replaces(roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path) -> None:
    store = Store(roots)
    store.install(tiny_package.path)
    newer = variant(tiny_package, tmp_path / "newer", name="tiny")
    store.install(newer.path)
    assert [package.digest for package in store.packages()] == [newer.digest]
    with pytest.raises(UnknownPackage, match=tiny_package.digest):
        store.by_digest(tiny_package.digest)
    assert [path.name for path in roots[0].iterdir()] == ["tiny"]


def test_a_broken_source_is_not_installed(roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_package.path, tmp_path / "broken")
    (broken / "LICENCE").write_text("changed")
    with pytest.raises(InvalidPackage, match="digest"):
        Store(roots).install(broken)
    assert not roots[0].exists()


def test_a_source_that_is_no_longer_what_it_was_is_refused(
    roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path
) -> None:
    source = variant(tiny_package, tmp_path / "source", name="tiny").path
    with pytest.raises(InvalidPackage, match="changed while collabd copied it"):
        Store(roots).install(source, tiny_package.digest)
    assert list(roots[0].iterdir()) == []


def test_an_earlier_root_hides_a_later_one(roots: tuple[Path, Path], tiny_package: Package) -> None:
    own = variant(tiny_package, roots[0] / "tiny", name="tiny")
    shipped = variant(tiny_package, roots[1] / "tiny", name="tiny", licence="shipped")
    other = variant(tiny_package, roots[1] / "other", name="other")
    store = Store(roots)
    assert store.packages() == [own, other]
    assert store.get("tiny") == own
    assert store.by_digest(shipped.digest) == shipped


def test_a_broken_package_is_reported_and_passed_over(roots: tuple[Path, Path], tiny_package: Package) -> None:
    store = Store(roots)
    store.install(tiny_package.path)
    broken = shutil.copytree(tiny_package.path, roots[0] / "broken")
    (broken / "model.onnx").unlink()
    assert [package.manifest.name for package in store.packages()] == ["tiny"]
    (problem,) = store.problems()
    assert problem.path == broken
    assert "lacks model.onnx" in problem.reason


def test_a_package_that_breaks_later_is_noticed(roots: tuple[Path, Path], tiny_package: Package) -> None:
    store = Store(roots)
    path = store.install(tiny_package.path).path
    assert store.problems() == []
    (path / "LICENCE").write_text("something longer than it was before, by whomever")
    assert store.packages() == []
    assert [problem.path for problem in store.problems()] == [path]


def test_unfinished_directories_and_files_are_passed_over(roots: tuple[Path, Path], tiny_package: Package) -> None:
    shutil.copytree(tiny_package.path, roots[0] / ".new-abc")
    (roots[0] / "README").write_text("a file")
    store = Store(roots)
    assert (store.packages(), store.problems()) == ([], [])


def test_a_received_package_stands_beside_the_installed_one(
    roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path
) -> None:
    store = Store(roots)
    pushed = variant(tiny_package, tmp_path / "pushed", name="tiny")
    received = store.receive(bundle.pack(pushed), digest=pushed.digest, max_bytes=1 << 24)
    assert store.get("tiny") == received
    store.install(tiny_package.path)
    assert store.get("tiny").digest == tiny_package.digest
    assert store.by_digest(pushed.digest) == received


def test_remove_takes_all_of_that_name(roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path) -> None:
    store = Store(roots)
    pushed = variant(tiny_package, tmp_path / "pushed", name="tiny")
    store.receive(bundle.pack(pushed), digest=pushed.digest, max_bytes=1 << 24)
    store.install(tiny_package.path)
    variant(tiny_package, roots[0] / "other", name="other")
    store.remove("tiny")
    assert [package.manifest.name for package in store.packages()] == ["other"]


def test_remove_uncovers_the_shipped_one_and_then_refuses(roots: tuple[Path, Path], tiny_package: Package) -> None:
    store = Store(roots)
    shipped = variant(tiny_package, roots[1] / "tiny", name="tiny")
    store.install(tiny_package.path)
    store.remove("tiny")
    assert store.packages() == [shipped]
    with pytest.raises(InvalidRequest, match="came with the installation"):
        store.remove("tiny")
    assert shipped.path.is_dir()


def test_removing_an_unknown_model_names_those_there_are(roots: tuple[Path, Path], tiny_package: Package) -> None:
    store = Store(roots)
    store.install(tiny_package.path)
    with pytest.raises(UnknownModel, match=r"no model 'tinny' is loaded \(these are: tiny\), did you mean 'tiny'\?"):
        store.remove("tinny")


def test_what_was_installed_anywhere_comes_before_what_was_pushed(
    roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path
) -> None:
    shipped = variant(tiny_package, roots[1] / "tiny", name="tiny", licence="shipped")
    pushed = variant(tiny_package, tmp_path / "pushed", name="tiny")
    store = Store(roots)
    received = store.receive(bundle.pack(pushed), digest=pushed.digest, max_bytes=1 << 24)
    assert store.get("tiny") == shipped
    assert store.pushed() == [received]
    store.discard(received)
    assert store.pushed() == []


def test_use_is_what_orders_the_pushed(roots: tuple[Path, Path], tiny_package: Package, tmp_path: Path) -> None:
    store = Store(roots)
    received = []
    for number in range(3):
        pushed = variant(tiny_package, tmp_path / f"{number}", name="tiny", licence=f"{number}")
        received.append(store.receive(bundle.pack(pushed), digest=pushed.digest, max_bytes=1 << 24))
        os.utime(received[-1].path, (number, number))
    store.used(received[0])
    assert Store(roots).pushed() == [received[1], received[2], received[0]]


def test_only_the_package_that_was_meant_is_installed(roots: tuple[Path, Path], tiny_package: Package) -> None:
    with pytest.raises(InvalidPackage, match="changed while collabd copied it"):
        Store(roots).install(tiny_package.path, "sha256:" + "0" * 64)
    assert list(roots[0].iterdir()) == []


def test_a_package_with_int8_is_installed_whole(roots: tuple[Path, Path], int8_package: Package) -> None:
    installed = Store(roots).install(int8_package.path)
    assert {path.name for path in installed.path.iterdir()} == {*int8_package.files}
