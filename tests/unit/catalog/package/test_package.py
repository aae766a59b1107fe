from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.manifest import Agreement, Classify, Manifest, Picture
from collabd.catalog.package.package import Package
from tests.patience import PROGRAM_S

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
        task=Classify(labels=(evil, *manifest.labels[1:])),
        licence=evil,
        provenance=evil,
        layers=(replace(first, name=evil, op=evil), *rest),
        inputs=(replace(manifest.inputs[0], name=evil),),
        cuts=(
            replace(manifest.cuts[0], tensors=(evil,)),
            *(replace(cut, name=cut.name + evil) for cut in manifest.cuts[1:]),
        ),
    )
    loaded = packages.write(tmp_path / "evil", changed, model=b"", licence=evil).manifest
    shown = loaded.labels[0], loaded.licence, loaded.provenance, loaded.layers[0].name, loaded.layers[0].op
    assert set(shown) == {"x; y"}
    assert [cut.name for cut in loaded.cuts[1:]] == [f"{cut.name}x; y" for cut in manifest.cuts[1:]]
    assert (loaded.input_names, loaded.cuts[0].tensors) == ((evil,), (evil,))


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
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=PROGRAM_S).returncode == 0


def swap_layers(manifest: Manifest) -> dict[str, Any]:
    first, second, *rest = manifest.layers
    return {"layers": (second, first, *rest)}


def change_cut(index: int, **changes: Any) -> Callable[[Manifest], dict[str, Any]]:
    def changed(manifest: Manifest) -> dict[str, Any]:
        cuts = list(manifest.cuts)
        cuts[index] = replace(cuts[index], **changes)
        return {"cuts": tuple(cuts)}

    return changed


def change_port(end: str, **changes: Any) -> Callable[[Manifest], dict[str, Any]]:
    return lambda manifest: {end: (replace(getattr(manifest, end)[0], **changes),)}


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
        (lambda _: {"task": Classify(labels=())}, "there are no labels"),
        (lambda _: {"picture": Picture(height=0, width=16)}, "input of 0 x 16 pixels"),
        (lambda _: {"picture": Picture(height=16, width=16, rule="crop", resize_shorter=8)}, "resize_shorter 8"),
        (lambda _: {"picture": Picture(height=16, width=16, resize_shorter=20)}, "20, and the rule is stretch"),
        (lambda _: {"picture": Picture(height=16, width=16, rule="crop")}, "None, and the rule is crop"),
        (lambda _: {"picture": Picture(height=16, width=16, rule="letterbox", pad=256)}, "pad 256 is no grey"),
        (lambda _: {"picture": None}, "classify needs a picture"),
        (lambda _: {"inputs": ()}, "there are no inputs"),
        (change_port("inputs", dtype="float32"), r"reads uint8 \[batch, 16, 16, 3\]; the package has image float32 "),
        (change_port("inputs", dtype="object"), "is of none of the types"),
        (change_port("inputs", shape=(1, 16, 16, 3)), "the batch must be its first axis"),
        (change_port("outputs", shape=(None, None)), "no other size may be open"),
        (change_port("outputs", shape=(None, 0)), "has a size below 1"),
        (
            change_port("outputs", shape=(None, 4)),
            r"3 labels gives float32 \[batch, 3\]; .* has logits float32",
        ),
        (change_port("outputs", name="image"), "tensor image occurs twice"),
        (lambda _: {"answer_bytes": -1}, "answer_bytes -1 is below 0"),
        (lambda _: {"layers": ()}, "there are no layers"),
        (change_port("outputs", name="other"), "leaves logits, not the outputs other"),
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
        (change_figures(tail="int8", agreement=agreement()), "no lossless codec in fp32"),
        (change_figures(tail="int8", agreement=agreement()), "figures for int8, of which the package has no graph"),
        (change_figures(tail="int8"), "impossible figures"),
        (lambda _: {"precisions": ()}, "first precision is not fp32"),
        (lambda _: {"precisions": ("int8", "fp32")}, "first precision is not fp32: int8, fp32"),
        (lambda _: {"precisions": ("fp32", "fp32")}, "precision fp32 occurs twice"),
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
    rewrite(copy, name="a/b", task=Classify(labels=()))
    with pytest.raises(InvalidPackage, match=r"name 'a/b'.*there are no labels"):
        packages.load(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', '{"name": 5}', "\xff"])
def test_a_manifest_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / "package.json").write_bytes(text.encode("latin-1"))
    (copy / "digest").write_text(packages.digest_of(copy))
    with pytest.raises(InvalidPackage, match=r"package\.json"):
        packages.load(copy)


def test_a_graph_that_does_not_fit_the_manifest_is_refused(copy: Path) -> None:
    manifest = packages.load(copy).manifest
    outputs = (replace(manifest.outputs[0], shape=(None, 1)),)
    rewrite(copy, task=Classify(labels=("only one",)), outputs=outputs)
    told = r"the graph gives logits float32 \[batch, 3\], but the package says logits float32 \[batch, 1\]"
    with pytest.raises(InvalidPackage, match=told):
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
    broken = replace(tiny_package.manifest, task=Classify(labels=()))
    with pytest.raises(InvalidPackage):
        packages.write(copy, broken, model=b"graph", licence="licence")
    assert packages.load(copy).digest == tiny_package.digest
    assert list(copy.parent.iterdir()) == [copy]


@pytest.fixture
def twin(int8_package: Package, tmp_path: Path) -> Path:
    return shutil.copytree(int8_package.path, tmp_path / "twin")


def reseal(path: Path) -> None:
    (path / "digest").write_text(packages.digest_of(path))


def test_a_package_may_hold_an_int8_graph(int8_package: Package, tiny_package: Package) -> None:
    assert packages.load(int8_package.path) == int8_package
    assert int8_package.files == ("LICENCE", "model.int8.onnx", "model.onnx", "package.json", "digest")
    assert {path.name for path in int8_package.path.iterdir()} == {*int8_package.files}
    networks = int8_package.networks()
    assert [*networks] == ["fp32", "int8"]
    assert [*tiny_package.networks()] == ["fp32"]
    ends = [(network.inputs, network.outputs) for network in networks.values()]
    assert ends[0] == ends[1]


def test_the_digest_covers_the_int8_graph(twin: Path) -> None:
    with (twin / "model.int8.onnx").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InvalidPackage, match="the files have digest"):
        packages.load(twin)


def test_a_graph_that_the_manifest_names_must_be_there_and_no_other(twin: Path, copy: Path) -> None:
    shutil.copyfile(twin / "model.int8.onnx", copy / "model.int8.onnx")
    with pytest.raises(InvalidPackage, match="the files have digest"):
        packages.load(copy)
    reseal(copy)
    with pytest.raises(InvalidPackage, match=r"has model\.int8\.onnx, which package\.json does not name"):
        packages.load(copy)
    (twin / "model.int8.onnx").unlink()
    reseal(twin)
    with pytest.raises(InvalidPackage, match=r"it lacks model\.int8\.onnx"):
        packages.load(twin)


def without_the_cut(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["elsewhere" if name == "pool1" else name for name in names]
    for value in model.graph.value_info:
        value.name = "elsewhere" if value.name == "pool1" else value.name


def with_another_output(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "answer"


def with_another_shape(model: onnx.ModelProto) -> None:
    for value in model.graph.value_info:
        if value.name == "pool1":
            value.type.tensor_type.shape.dim[1].dim_value = 4


def that_needs_more(model: onnx.ModelProto) -> None:
    """Its answer depends on the image once more."""
    last = model.graph.node[-1]
    last.output[0], output = "inner", last.output[0]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, 3]), "axes"))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Unsqueeze", ["mean", "last"], ["column"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "last"))
    model.graph.node.append(onnx.helper.make_node("Add", ["inner", "column"], [output]))
    shapes: dict[str, list[str | int | None]] = {"inner": ["batch", 3], "mean": ["batch"], "column": ["batch", 1]}
    for name, shape in shapes.items():
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without_the_cut, "no tensor 'pool1'"),
        (with_another_output, "the graph gives answer float32"),
        (
            with_another_shape,
            r"at a cut it has pool1 float32 \[batch, 4, 8, 8\], and the fp32 graph has pool1 .* 8, 8, 8",
        ),
        (that_needs_more, "cannot be computed from .*relu1.* are missing"),
    ],
)
def test_an_int8_graph_that_cannot_be_joined_is_refused(
    twin: Path, change: Callable[[onnx.ModelProto], None], complaint: str
) -> None:
    model = onnx.load(twin / "model.int8.onnx")
    change(model)
    onnx.save(model, twin / "model.int8.onnx")
    reseal(twin)
    package = packages.load(twin)
    assert package.network().inputs
    with pytest.raises(InvalidPackage, match=rf"model\.int8\.onnx: .*{complaint}"):
        package.networks()
