from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.manifest import Agreement, Manifest, Preprocessing
from collabd.catalog.package.package import Package

replace = msgspec.structs.replace


@pytest.fixture
def copy(tiny_package: Package, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_package.path, tmp_path / "copy")


def rewrite(path: Path, **changes: Any) -> None:
    """Change the manifest of a package and make its digest fit again."""
    manifest = packages.load(path).manifest
    (path / "package.json").write_bytes(msgspec.json.encode(replace(manifest, **changes)))
    (path / "digest").write_text(packages.digest_of(path))


def test_a_written_package_reads_back_equal(tiny_package: Package) -> None:
    assert packages.load(tiny_package.path) == tiny_package
    assert sorted(path.name for path in tiny_package.path.iterdir()) == [
        "LICENCE",
        "digest",
        "model.onnx",
        "package.json",
    ]


def test_the_digest_covers_each_content_file_and_nothing_else(copy: Path) -> None:
    digest = packages.digest_of(copy)
    (copy / "notes.txt").write_text("not part of it")
    assert packages.digest_of(copy) == digest
    for name in packages.CONTENT:
        kept = (copy / name).read_bytes()
        (copy / name).write_bytes(kept + b" ")
        assert packages.digest_of(copy) != digest
        (copy / name).write_bytes(kept)


@pytest.mark.parametrize("name", packages.CONTENT)
def test_a_changed_file_is_noticed(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InvalidPackage, match=r"digest.*collabctl models add"):
        packages.load(copy)


def test_texts_of_a_package_are_plain_and_names_of_tensors_the_graphs(tiny_package: Package, tmp_path: Path) -> None:
    evil, manifest = "\x1b[2Jx\ny", tiny_package.manifest
    first, *rest = manifest.layers
    changed = replace(
        manifest,
        labels=(evil, *manifest.labels[1:]),
        licence=evil,
        provenance=evil,
        layers=(replace(first, name=evil, op=evil), *rest),
        input=evil,
        cuts=(
            replace(manifest.cuts[0], tensors=(evil,)),
            *(replace(cut, name=cut.name + evil) for cut in manifest.cuts[1:]),
        ),
    )
    loaded = packages.write(tmp_path / "evil", changed, model=b"", licence=evil).manifest
    shown = loaded.labels[0], loaded.licence, loaded.provenance, loaded.layers[0].name, loaded.layers[0].op
    assert set(shown) == {"x; y"}
    assert [cut.name for cut in loaded.cuts[1:]] == [f"{cut.name}x; y" for cut in manifest.cuts[1:]]
    assert (loaded.input, loaded.cuts[0].tensors) == (evil, (evil,))


@pytest.mark.parametrize("name", [*packages.CONTENT, packages.DIGEST])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InvalidPackage, match=f"not a model package: it lacks {name}"):
        packages.load(copy)


@pytest.mark.parametrize("name", [*packages.CONTENT, packages.DIGEST])
def test_what_is_no_file_is_not_opened(copy: Path, name: str) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(InvalidPackage, match=f"it lacks {name}"):
        packages.load(copy)


@pytest.mark.parametrize("name", [*packages.CONTENT, packages.DIGEST])
def test_a_file_that_cannot_be_read_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    # Reading it from its beginning is an error for everybody, root included: nothing lies at address 0.
    (copy / name).symlink_to("/proc/self/mem")
    with pytest.raises(InvalidPackage, match=rf"{name}: Input/output error: .* read"):
        packages.load(copy)


def test_loading_needs_no_onnx(tiny_package: Package) -> None:
    code = (
        "import sys, pathlib\n"
        "from collabd.catalog.package.package import load\n"
        f"load(pathlib.Path({str(tiny_package.path)!r}))\n"
        "sys.exit(bool({'onnx', 'onnxruntime', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def swap_layers(manifest: Manifest) -> dict[str, Any]:
    first, second, *rest = manifest.layers
    return {"layers": (second, first, *rest)}


def change_cut(index: int, **changes: Any) -> Callable[[Manifest], dict[str, Any]]:
    def changed(manifest: Manifest) -> dict[str, Any]:
        cuts = list(manifest.cuts)
        cuts[index] = replace(cuts[index], **changes)
        return {"cuts": tuple(cuts)}

    return changed


def agreement(**changes: int) -> Agreement:
    return replace(Agreement(agreed=55, images=60, sure_agreed=49, sure_images=50), **changes)


def change_figures(**changes: Any) -> Callable[[Manifest], dict[str, Any]]:
    def changed(manifest: Manifest) -> dict[str, Any]:
        figures = replace(manifest.cuts[1].codecs[0], **changes)
        return change_cut(1, codecs=(figures,))(manifest)

    return changed


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _: {"name": "../etc"}, "name '../etc' is not"),
        (lambda _: {"name": ""}, "name '' is not"),
        (lambda _: {"labels": ()}, "there are no labels"),
        (lambda _: {"preprocessing": Preprocessing(height=0, width=16)}, "input of 0 x 16 pixels"),
        (lambda _: {"preprocessing": Preprocessing(height=16, width=16, resize_shorter=8)}, "resize_shorter 8"),
        (lambda _: {"layers": ()}, "there are no layers"),
        (lambda _: {"output": "other"}, "not the output other"),
        (lambda manifest: {"layers": manifest.layers[:1] * 2 + manifest.layers[1:]}, "occurs twice"),
        (lambda manifest: {"cuts": manifest.cuts[1:]}, "the first cut must be 'image'"),
        (lambda manifest: {"cuts": manifest.cuts[:2] + manifest.cuts[1:]}, "occurs twice.*do not increase"),
        (swap_layers, "name different tensors"),
        (change_cut(0, tensors=("elsewhere",)), "the first cut must be 'image'"),
        (change_cut(1, head_layers=99), "do not increase within"),
        (change_cut(1, head_layers=0), "do not increase within"),
        (change_cut(1, tensors=("elsewhere",)), "name different tensors"),
        (change_figures(codec="jpeg90"), "codec 'jpeg90', not one of f32"),
        (change_figures(codec="q4", agreement=None), "impossible figures"),
        (change_figures(agreement=agreement(agreed=61)), "impossible figures"),
        (change_figures(agreement=agreement(sure_agreed=51)), "impossible figures"),
        (change_figures(agreement=agreement(sure_images=61)), "impossible figures"),
        (change_figures(agreement=agreement(sure_agreed=-1)), "impossible figures"),
        (change_figures(bytes_median=-1), "impossible figures"),
        (change_figures(bytes_median=9, bytes_p95=8), "impossible figures"),
    ],
)
def test_an_inconsistent_manifest_is_refused(
    copy: Path, change: Callable[[Manifest], dict[str, Any]], complaint: str
) -> None:
    rewrite(copy, **change(packages.load(copy).manifest))
    with pytest.raises(InvalidPackage, match=complaint):
        packages.load(copy)


def test_all_faults_are_told_at_once(copy: Path) -> None:
    rewrite(copy, name="a/b", labels=())
    with pytest.raises(InvalidPackage, match=r"name 'a/b'.*there are no labels"):
        packages.load(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', '{"name": 5}', "\xff"])
def test_a_manifest_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / "package.json").write_bytes(text.encode("latin-1"))
    (copy / "digest").write_text(packages.digest_of(copy))
    with pytest.raises(InvalidPackage, match=r"package\.json"):
        packages.load(copy)


def test_a_graph_that_does_not_fit_the_manifest_is_refused(copy: Path) -> None:
    rewrite(copy, labels=("only one",))
    with pytest.raises(InvalidPackage, match=r"the graph has logits float32\[None, 3\]"):
        packages.load(copy).network()


def test_a_graph_without_a_tensor_of_the_manifest_is_refused(copy: Path) -> None:
    layers = packages.load(copy).manifest.layers
    lost = replace(layers[0], tensors=("lost",))
    manifest = packages.load(copy).manifest
    cuts = tuple(cut for cut in manifest.cuts if cut.head_layers != 1)
    rewrite(copy, layers=(lost, *layers[1:]), cuts=cuts)
    with pytest.raises(InvalidPackage, match="lost"):
        packages.load(copy).network()


@pytest.mark.parametrize("graph", [b"", b"not onnx", onnx.ModelProto().SerializeToString()])
def test_a_graph_that_is_none_is_refused(copy: Path, graph: bytes) -> None:
    (copy / "model.onnx").write_bytes(graph)
    (copy / "digest").write_text(packages.digest_of(copy))
    with pytest.raises(InvalidPackage, match=r"model\.onnx"):
        packages.load(copy).network()


def test_a_refused_package_replaces_nothing(tiny_package: Package, copy: Path) -> None:
    broken = replace(tiny_package.manifest, labels=())
    with pytest.raises(InvalidPackage):
        packages.write(copy, broken, model=b"graph", licence="licence")
    assert packages.load(copy).digest == tiny_package.digest
    assert list(copy.parent.iterdir()) == [copy]
