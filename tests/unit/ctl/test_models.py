"""`collabctl models list`, `show`, `remove` and `verify`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collab_sdk.errors import UnknownModel
from collabd.catalog.package.package import MODEL, Package

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


@pytest.fixture
def package(tiny_package: Package, tmp_path: Path) -> Path:
    """A copy of a sound package, to be spoiled."""
    return Path(shutil.copytree(tiny_package.path, tmp_path / "tiny"))


def spoil(package: Path) -> Path:
    with (package / MODEL).open("ab") as file:
        file.write(b"\0")
    return package


def test_list(run: Run) -> None:
    assert [line.split() for line in run("models", "list").stdout.splitlines()] == [
        ["model", "task", "digest", "layers", "cuts", "MB", "loaded", "profiled"],
        ["net", "classify", "0123456789ab", "3", "2", "1.2", "yes"],
        ["other", "detect", "ff", "9", "4", "-", "no"],
    ]


def test_list_of_none(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/models"] = {"models": []}
    assert run("models", "list").stdout.startswith("models     none; add one: collabctl models add /")
    assert json.loads(run("models", "list", "--json").stdout) == {"models": []}


def test_show_has_a_row_for_each_letter_of_a_placement(run: Run) -> None:
    head, rows, _ = run("models", "show", "net").stdout.split("\n\n")
    assert head.splitlines() == [
        "model      net (0123456789ab)",
        "layers     3, 1.25 MMACs",
        "fidelity   how often the top-1 is right",
    ]
    assert [line.split() for line in rows.splitlines()[1:]] == [
        ["1", "Conv", "1.25", "no", "features.0"],
        ["2", "MaxPool", "0.00", "yes", "features.2"],
        ["3", "Gemm", "0.00", "no", "logits"],
    ]


def test_show_has_the_codecs_with_their_agreement_where_the_network_is_sure_and_in_all(run: Run) -> None:
    _, _, rows = run("models", "show", "net").stdout.split("\n\n")
    assert [line.split(maxsplit=4) for line in rows.splitlines()] == [
        ["cut", "codec", "bytes", "fidelity", "sure         all"],
        ["image", "u8", "151k", "100", "%           -           -"],
        ["image", "jpeg90-444", "19.2k", "99.5", "%  301 of 302  632 of 712"],
    ]


def test_show_has_the_overlap_of_a_segmenters_classes(daemon: LittleDaemon, run: Run) -> None:
    _, lossy = daemon.answers["GET /collab/v1/models/net"]["codecs"]
    lossy["mean_iou"] = 0.981
    _, _, rows = run("models", "show", "net").stdout.split("\n\n")
    assert [line.split()[-2:] for line in rows.splitlines()] == [["all", "mIoU"], ["-", "-"], ["98.1", "%"]]


def test_show_has_the_precisions_where_they_differ(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/models/net"]["codecs"][1]["precision"] = "int8"
    _, _, rows = run("models", "show", "net", env={"COLUMNS": "80"}).stdout.split("\n\n")
    assert [line.split()[2] for line in rows.splitlines()] == ["precision", "fp32", "int8"]
    assert max(map(len, rows.splitlines())) <= 80


def test_remove(daemon: LittleDaemon, run: Run) -> None:
    assert run("models", "remove", "net").stdout == "removed net\n"
    assert [asked.line for asked in daemon.asked] == ["DELETE /collab/v1/models/net"]


def test_remove_of_a_model_that_is_not_there(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["DELETE /collab/v1/models/nat"] = UnknownModel("no model 'nat' is loaded; loaded are net")
    ran = run("models", "remove", "nat")
    assert (ran.exit_code, ran.output) == (1, "collabctl: no model 'nat' is loaded; loaded are net\n")


def test_verify_a_sound_package_asks_no_daemon(daemon: LittleDaemon, run: Run, package: Path) -> None:
    ran = run("models", "verify", package)
    assert ran.exit_code == 0
    assert ran.stdout.splitlines()[1].split()[::3] == [str(package), "sound"]
    assert daemon.asked == []


def test_verify_names_every_fault(run: Run, package: Path, tiny_package: Package) -> None:
    ran = run("models", "verify", tiny_package.path, spoil(package), package.parent / "none", "--json")
    assert ran.exit_code == 1
    sound, spoilt, missing = json.loads(ran.stdout)["packages"]
    assert sound == {
        "path": str(tiny_package.path),
        "name": "tiny",
        "digest": tiny_package.digest,
        "fault": None,
    }
    assert "build the package again" in spoilt["fault"]
    assert (spoilt["name"], spoilt["digest"]) == (None, None)
    assert "is not a model package" in missing["fault"]


def test_verify_shows_the_fault_in_the_table(run: Run, package: Path) -> None:
    (row,) = run("models", "verify", spoil(package)).stdout.splitlines()[1:]
    assert row.split()[:3] == [str(package), "-", "-"]
    assert "the files have digest" in row


@pytest.mark.parametrize("loaded", ["the same", "another"])
def test_verify_looks_at_what_the_daemon_serves(
    daemon: LittleDaemon, run: Run, tiny_package: Package, loaded: str
) -> None:
    digest = tiny_package.digest if loaded == "the same" else "sha256:old"
    (model, _) = daemon.answers["GET /collab/v1/models"]["models"]
    daemon.answers["GET /collab/v1/models"] = {"models": [model | {"path": str(tiny_package.path), "digest": digest}]}
    ran = run("models", "verify", "--json")
    (verdict,) = json.loads(ran.stdout)["packages"]
    assert verdict["digest"] == tiny_package.digest
    if loaded == "the same":
        assert (ran.exit_code, verdict["fault"]) == (0, None)
    else:
        assert ran.exit_code == 1
        assert verdict["fault"] == "collabd still runs sha256:old: restart collabd, or add the package again"
