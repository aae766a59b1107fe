"""`collabctl models add`: what is built, from which options, and what reaches the daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from collab_sdk.errors import DaemonUnavailable, InvalidRequest
from collab_sdk.reports import ModelReport
from collabd.catalog.authoring.detect import FAMILIES
from collabd.catalog.package.package import Package, load
from collabd.ctl.models.add import promise
from collabd.ctl.models.building import MOST_IMAGES, image_files, read_labels
from tests.task_networks import mixer, package_of
from tests.unit.ctl.conftest import MODEL

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


@pytest.fixture
def network(tiny_model: onnx.ModelProto, tmp_path: Path) -> Path:
    """A network as an ONNX file."""
    onnx.save(tiny_model, tmp_path / "shapes.onnx")
    return tmp_path / "shapes.onnx"


@pytest.fixture
def photos(tiny_images: list[np.ndarray], tmp_path: Path) -> Path:
    """A folder of 12 images in two folders."""
    for index, image in enumerate(tiny_images[:12]):
        folder = tmp_path / "photos" / f"class{index % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "built"


def loads(daemon: LittleDaemon) -> Iterator[Path]:
    """What the daemon was told to load."""
    for asked in daemon.asked:
        if asked.line == "POST /collab/v1/models":
            yield Path(json.loads(asked.body)["path"])


def test_a_package_is_loaded_as_it_is(daemon: LittleDaemon, run: Run, tiny_package: Package) -> None:
    ran = run("models", "add", tiny_package.path)
    assert (ran.exit_code, ran.stdout) == (0, "added net (0123456789ab): 3 layers, 2 cuts\n")
    assert list(loads(daemon)) == [tiny_package.path]


def test_an_onnx_file_is_built_then_loaded(daemon: LittleDaemon, run: Run, network: Path) -> None:
    ran = run("models", "add", network)
    assert (ran.exit_code, ran.stdout) == (0, "added net (0123456789ab): 3 layers, 2 cuts\n")
    assert "built shapes: " in ran.stderr
    assert "lossless codecs at first (give --calibration" in ran.stderr
    (directory,) = loads(daemon)
    assert not directory.exists()  # the daemon has its copy


def test_what_the_daemon_loads_is_a_package_that_all_may_read(daemon: LittleDaemon, run: Run, network: Path) -> None:
    found: list[tuple[str, int]] = []

    def look(_: object) -> ModelReport:
        found.extend((load(path).manifest.name, path.parent.stat().st_mode & 0o777) for path in loads(daemon))
        return MODEL

    daemon.answers["POST /collab/v1/models"] = look
    assert run("models", "add", network).exit_code == 0
    assert found == [("shapes", 0o755)]


def test_options_reach_the_package(daemon: LittleDaemon, run: Run, network: Path, photos: Path, out: Path) -> None:
    labels = network.with_name("labels.txt")
    labels.write_text("Kreis\nKästchen\nStern\n", encoding="utf-8")
    words = ["--name", "forms", "--labels", labels, "--licence", "CC0-1.0", "--calibration", photos, "--out", out]
    ran = run("models", "add", network, "--no-load", *words, "--size", "16x16", "--resize-shorter", 20)
    assert (ran.exit_code, ran.stdout, daemon.asked) == (0, "", [])
    assert re.search(
        r"calibrated on 12 images, of which the network is sure of \d+, with a fidelity of at most ", ran.stderr
    )
    manifest = load(out).manifest
    assert (manifest.name, manifest.licence, manifest.labels) == ("forms", "CC0-1.0", ("Kreis", "Kästchen", "Stern"))
    assert manifest.require_picture().resize_shorter == 20
    assert {each.agreement and each.agreement.images for cut in manifest.cuts for each in cut.codecs} == {None, 12}


def test_of_a_segmenter_the_overlap_of_classes_is_said_beside_the_fidelity(out: Path) -> None:
    rng = np.random.default_rng(7)
    images = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(4)]
    manifest = package_of("segment", out, images).manifest
    lossy = [each for cut in manifest.cuts for each in cut.codecs if each.agreement]
    assert lossy
    assert all(each.mean_iou is not None and 0 < each.mean_iou <= 1 for each in lossy)
    assert re.search(r"finds something in 4, with a fidelity of at most \S+ % \(mIoU \S+ %\)$", promise(manifest))


def test_what_the_scores_were_taken_for_is_said(run: Run, network: Path, out: Path) -> None:
    judged = run("models", "add", network, "--out", out, "--no-load")
    assert "scores: logits, because they go from " in judged.stderr
    assert load(out).manifest.output_kind == "logits"
    stated = run("models", "add", network, "--out", out, "--no-load", "--scores", "independent")
    assert "scores: independent, as stated by --scores, although they look like logits" in stated.stderr
    assert load(out).manifest.output_kind == "independent"


def test_what_is_for_classifiers_and_pictures_is_refused_for_tensors(run: Run, photos: Path, out: Path) -> None:
    network = out.with_name("mixer.onnx")
    onnx.save(mixer(), network)
    for words, complaint in (
        (["--calibration", photos], "--calibration has pictures, but the network takes tensors"),
        (["--scores", "logits"], "--scores is for classifiers, and this network is none"),
        (["--mean", 0, 0, 0], "--mean: the network takes no picture"),
    ):
        ran = run("models", "add", network, "--out", out, "--no-load", *words)
        assert ran.exit_code == 1
        assert complaint in ran.stderr.splitlines()[-1]
        assert not out.exists()


def test_what_makes_a_calibration_doubtful_is_said(
    run: Run, network: Path, photos: Path, out: Path, tiny_images: list[np.ndarray]
) -> None:
    Image.fromarray(tiny_images[0]).save(photos / "copy.png")
    ran = run("models", "add", network, "--calibration", photos, "--out", out, "--no-load")
    assert "only 12 of the 13 calibration images differ, and copies add nothing" in ran.stderr


def test_out_keeps_what_is_loaded(daemon: LittleDaemon, run: Run, network: Path, out: Path) -> None:
    assert run("models", "add", network, "--out", out).exit_code == 0
    assert list(loads(daemon)) == [out]
    assert load(out).manifest.name == "shapes"


def test_out_replaces_a_package_but_nothing_else(run: Run, network: Path, out: Path) -> None:
    for _ in range(2):
        assert run("models", "add", network, "--out", out, "--no-load").exit_code == 0
    (out / "package.json").rename(out / "diary.txt")
    ran = run("models", "add", network, "--out", out, "--no-load")
    assert ran.exit_code == 2
    assert "is not a package, so it is not replaced" in ran.stderr
    assert (out / "diary.txt").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["{package}", "--name", "other"], "is a built package: no other option applies"),
        (["{package}", "--no-load"], "is a built package: no other option applies"),
        (["{network}", "--no-load"], "--no-load keeps nothing without --out"),
        (["{network}", "--random-weights"], "--random-weights is for torchvision's networks"),
        (["torchvision:resnet18", "--output", "logits"], "--output is for files"),
        (["torchvision:resnet18", "--mean", "0", "0", "0"], "torchvision's networks bring their own --mean"),
        (["torchvision:resnet18", "--decoder", "ssd"], "torchvision's networks bring their own --decoder"),
        (["{network}", "--size", "16x"], "'16x' is not a size such as 224x224"),
        (["{network}", "--size", "0x16"], "'0x16' is not a size such as 224x224"),
        (["{network}", "--size", "1x2x3"], "'1x2x3' is not a size such as 224x224"),
        (["{network}", "--labels", "/nowhere"], "does not exist"),
    ],
)
def test_options_that_do_not_go_together(
    daemon: LittleDaemon, run: Run, network: Path, tiny_package: Package, words: list[str], why: str
) -> None:
    ran = run("models", "add", *(word.format(package=tiny_package.path, network=network) for word in words))
    assert ran.exit_code == 2
    assert why in ran.stderr
    assert list(loads(daemon)) == []


def test_one_number_is_a_square(run: Run, network: Path, out: Path) -> None:
    assert run("models", "add", network, "--size", 16, "--out", out, "--no-load").exit_code == 0
    ran = run("models", "add", network, "--size", 17, "--out", out, "--no-load")
    assert ran.exit_code == 1
    assert ran.stderr.splitlines()[-1].startswith("collabctl: ")


def test_nothing_is_built_for_a_daemon_that_does_not_run(daemon: LittleDaemon, run: Run, network: Path) -> None:
    daemon.answers["GET /collab/v1/models"] = DaemonUnavailable("collabd is not there")
    ran = run("models", "add", network)
    assert (ran.exit_code, ran.output) == (1, "collabctl: collabd is not there\n")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("shapes", "names no network; give torchvision:NAME"),
        ("none.onnx", "is not a readable ONNX file"),
        ("no.such.module:make", "which is not installed"),
    ],
)
def test_a_source_that_is_none(run: Run, source: str, why: str) -> None:
    ran = run("models", "add", source, "--size", 16)
    assert ran.exit_code == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("collabctl: ")
    assert why in last


def test_a_factory_that_fails_is_no_traceback(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_faulty_network.py").write_text("def make():\n    raise KeyError('depth')\n")
    monkeypatch.syspath_prepend(tmp_path)
    ran = run("models", "add", "a_faulty_network:make", "--size", 16)
    assert ran.exit_code == 1
    assert ran.stderr.splitlines()[-1] == "collabctl: a_faulty_network:make: KeyError: 'depth'"


def test_a_calibration_image_that_is_none_is_named(run: Run, network: Path, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    ran = run("models", "add", network, "--calibration", photos)
    assert ran.exit_code == 1
    assert ran.stderr.splitlines()[-1].startswith(f"collabctl: {photos / 'broken.jpg'}: ")


def test_a_folder_without_images_is_refused(run: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("models", "add", network, "--calibration", tmp_path / "empty")
    assert ran.exit_code == 1
    assert "holds no images" in ran.stderr.splitlines()[-1]


def test_of_many_images_a_spread_is_taken(tmp_path: Path) -> None:
    names = [f"{index:04}.JPG" for index in range(MOST_IMAGES * 2)]
    for name in (*names, "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == names[::2]


def test_labels_are_lines_and_only_the_end_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("tench\n\ngreat white shark\n\n", encoding="utf-8")
    assert read_labels(path) == ("tench", "", "great white shark")
    path.write_bytes(b"K\xe4fer\n")
    with pytest.raises(InvalidRequest, match="is not text in UTF-8"):
        read_labels(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_labels_as_windows_saves_them(encoding: str, newline: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes((newline.join(["Käfer", "tench ", "shark"]) + 3 * newline).encode(encoding))
    assert read_labels(path) == ("Käfer", "tench", "shark")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf\r\n"])
def test_labels_that_are_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="holds no labels"):
        read_labels(path)


def test_what_was_decided_is_said_and_an_output_can_be_named(run: Run, tmp_path: Path, out: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["means"]),
        helper.make_node("Conv", ["means", "weight"], ["scores"]),
    ]
    shapes: dict[str, list[int | str | None]] = {"x": ["N", 3, 8, 8], "scores": ["N", 4, 1, 1], "means": ["N", 3, 1, 1]}
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    weight = numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float32), "weight")
    graph = helper.make_graph(nodes, "two", ports[:1], ports[1:], [weight])
    path = tmp_path / "TWO.ONNX"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    plain = run("models", "add", path, "--out", out, "--no-load")
    assert plain.exit_code == 0, plain.stderr
    assert "outputs as they are: scores float32 [1, 4, 1, 1], means float32 [1, 3, 1, 1]" in plain.stderr
    assert load(out).manifest.labels == ()
    ran = run("models", "add", path, "--output", "scores", "--out", out, "--no-load")
    assert ran.exit_code == 0, ran.stderr
    assert "its input is float32 [batch, 3, height, width], RGB" in ran.stderr
    assert "its output scores, float32 [1, 4, 1, 1], becomes float32 [1, 4]" in ran.stderr
    assert len(load(out).manifest.labels) == 4


def test_every_family_of_detectors_is_named(run: Run) -> None:
    told = "".join(run("models", "add", "--help").stdout.split())
    assert all("".join(name.split()) in told for name in FAMILIES)


def test_thresholds_of_nothing_are_thresholds(run: Run, network: Path) -> None:
    ran = run("models", "add", network, "--no-load", "--out", network.parent / "out", "--score-threshold", 0)
    assert ran.exit_code == 1
    assert "thresholds are for detectors" in ran.stderr
