"""`collabctl models pair`, and what `models show` and `explain` say of a pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from collab_sdk.errors import InvalidRequest, UnknownModel
from collab_sdk.vocabulary import Cascade
from collabd.catalog.package.package import Package, load
from collabd.ctl import figures
from tests.pair_networks import big_package, little_in_both_precisions, pictures

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    directory = tmp_path_factory.mktemp("pair")
    return big_package(directory / "big"), little_in_both_precisions(directory)


def photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index, picture in enumerate(pictures(count)):
        Image.fromarray(picture).save(folder / f"{index:04}.png")
    return folder


def test_the_pair_is_written_and_loaded_and_its_thresholds_are_told(
    run: Run, daemon: LittleDaemon, packages: tuple[Package, Package], tmp_path: Path
) -> None:
    big, little = packages
    out = tmp_path / "out"
    words = ("--calibration", photos(tmp_path / "photos", 700), "--out", out)
    ran = run("models", "pair", big.path, "--little", little.path, *words)
    assert ran.exit_code == 0, ran.output
    named = load(out).manifest.little
    assert named is not None
    assert named.digest == little.digest
    told = [line.split() for line in ran.stdout.splitlines() if line]
    for ladder in named.ladders:
        head, rows, told = told[0], told[1 : 1 + len(ladder.thresholds)], told[1 + len(ladder.thresholds) :]
        assert head[:5] == [str(ladder.score), "little", "in", str(ladder.precision), "answers"]
        assert [row[0] for row in rows] == [f"{each.least:.3f}" for each in ladder.thresholds]
        assert f"{figures.share(ladder.thresholds[0].total(1.0))}" in ran.stdout
    assert [ladder.precision for ladder in named.ladders] == ["fp32", "int8"]
    (asked,) = [each for each in daemon.asked if each.line == "POST /collab/v1/models"]
    assert json.loads(asked.body)["path"] == str(out)


def test_it_is_refused_with_too_few_pictures(run: Run, packages: tuple[Package, Package], tmp_path: Path) -> None:
    words = ("--calibration", photos(tmp_path / "photos", 40))
    ran = run("models", "pair", packages[0].path, "--little", packages[1].path, *words)
    assert isinstance(ran.exception, InvalidRequest) or ran.exit_code != 0
    assert "of the 40 calibration images that differ" in f"{ran.exception}{ran.output}"


def test_networks_are_found_by_name(run: Run, packages: tuple[Package, Package], tmp_path: Path) -> None:
    words = ("--calibration", photos(tmp_path / "photos", 1))
    ran = run("models", "pair", packages[0].path, "--little", "nett", *words)
    assert isinstance(ran.exception, UnknownModel) or ran.exit_code != 0
    assert "nett" in f"{ran.exception}{ran.output}"


def test_nothing_is_kept_without_a_place(run: Run, packages: tuple[Package, Package], tmp_path: Path) -> None:
    words = ("--calibration", photos(tmp_path / "photos", 1), "--no-load")
    assert run("models", "pair", packages[0].path, "--little", packages[1].path, *words).exit_code == 2


@pytest.mark.parametrize(("off", "said"), [("", "small\n"), ("it is missing", "small, off: it is missing")])
def test_show_tells_of_the_little_network(run: Run, daemon: LittleDaemon, off: str, said: str) -> None:
    daemon.answers["GET /collab/v1/models/net"]["little"] = {
        "model": "small",
        "off": off,
        "ladders": [
            {
                "precision": precision,
                "score": "margin",
                "thresholds": [{"least": 0.8, "share": 0.5, "agreed": 298, "images": 300, "fidelity": 0.9912}],
            }
            for precision in ("fp32", "int8")
        ],
    }
    shown = run("models", "show", "net").stdout
    assert f"little     {said}" in shown
    assert "small in fp32 answers" in shown
    assert "small in int8 answers" in shown
    assert shown.splitlines()[-1].split() == ["0.800", "50", "%", "298", "of", "300", "99.12", "%"]


def test_explain_says_who_answered_and_what_it_had_chosen_from(run: Run, daemon: LittleDaemon) -> None:
    (decision,) = daemon.answers["GET /collab/v1/explain"]["decisions"]
    decision |= {"little": "small", "little_precision": "int8", "cascade": "raced", "answered_by": "small"}
    decision |= {"why": "small in int8 was sure: margin 0.9"}
    decision["candidates"][1] |= {"cascade": "raced", "little_precision": "int8", "little_share": 0.49}
    said = run("explain").stdout
    assert "cut features.2 as q8 to desktop, raced by small in int8 (chosen)" in said
    assert "answered   small in int8 was sure: margin 0.9" in said
    assert "raced int8 49 %" in said


def test_a_plan_in_words() -> None:
    here = {"cut": "output", "placement": "DDD", "codec": "none", "precision": "fp32", "cloud": None}
    asked = {"little": "small", "little_precision": None, "cascade": Cascade.SERIAL}
    said = figures.plan({**here, **asked, "reason": "chosen"})
    assert said == "small first, else all on the device (chosen)"
