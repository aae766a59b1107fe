"""`collabctl models pull`, `models index` and `run`: from an index to the daemon, and to an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collab_sdk.reports import ModelReport
from collabd.catalog.package.package import Package, load
from tests.file_server import serving
from tests.unit.ctl.conftest import CONFIG, MODEL

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(run: Run, tiny_package: Package, tmp_path: Path) -> Path:
    ran = run("models", "index", tiny_package.path, "--out", tmp_path / "offered", "--key", tmp_path / "key.pem")
    assert ran.exit_code == 0, ran.output
    return tmp_path / "offered"


@pytest.fixture
def loaded(daemon: LittleDaemon) -> list[Package]:
    """The packages that the daemon is told to load."""
    packages: list[Package] = []

    def load_it(_: object) -> ModelReport:
        asked = [each for each in daemon.asked if each.line == "POST /collab/v1/models"]
        packages.append(load(Path(json.loads(asked[-1].body)["path"])))
        return MODEL

    daemon.answers["POST /collab/v1/models"] = load_it
    return packages


def configure(daemon: LittleDaemon, **models: str) -> None:
    settings = {f"models.{name}": {"value": value, "origin": "file"} for name, value in models.items()}
    daemon.answers["GET /collab/v1/config"] = CONFIG | {"settings": settings}


def test_an_index_says_what_it_offers_and_who_vouches_for_it(run: Run, folder: Path, tiny_package: Package) -> None:
    again = run("models", "index", tiny_package.path, "--out", folder, "--key", folder.parent / "key.pem")
    first, pin, key = again.stdout.splitlines()
    assert re.fullmatch(r"tiny:1: classify, 0\.\d MB, .+", first)
    assert re.fullmatch(rf"{folder}/index\.json has sha256 [0-9a-f]{{64}}", pin)
    assert re.fullmatch(r"it is signed with the key [A-Za-z0-9+/]{43}=", key)


def test_a_model_is_pulled_and_loaded(
    run: Run, folder: Path, loaded: list[Package], tiny_package: Package, cache: Path
) -> None:
    ran = run("models", "pull", "tiny", "--index", folder / "index.json")
    assert (ran.exit_code, ran.stdout) == (0, "added net (0123456789ab): 3 layers, 2 cuts\n")
    assert [package.digest for package in loaded] == [tiny_package.digest]
    assert f"licence: {tiny_package.manifest.licence}\n" in ran.stderr
    assert re.search(r"^tiny:1: classify, 0\.\d MB, from file:///.*/index\.json$", ran.stderr, re.MULTILINE)
    assert not loaded[0].path.exists()  # the daemon has its copy
    assert list((cache / "collabd").iterdir()) == []


def test_the_configuration_names_the_index(run: Run, daemon: LittleDaemon, folder: Path, loaded: list[Package]) -> None:
    configure(daemon, index=str(folder / "index.json"), index_digest="0" * 64, index_key="")
    refused = run("models", "pull", "tiny")
    assert refused.exit_code == 1
    assert re.search(r"has sha256 [0-9a-f]{64}, not 0{64}", refused.stderr)
    sha256 = re.search(r"has sha256 ([0-9a-f]{64})", refused.stderr)
    assert sha256 is not None
    assert run("models", "pull", "tiny", "--sha256", sha256[1]).exit_code == 0
    assert len(loaded) == 1


def test_without_an_index_it_says_how_to_name_one(run: Run) -> None:
    ran = run("models", "pull", "tiny")
    assert ran.exit_code == 1
    assert "name one with --index, or as [models] index in the configuration" in ran.stderr


def test_what_is_served_is_not_fetched(
    run: Run, daemon: LittleDaemon, folder: Path, loaded: list[Package], tiny_package: Package
) -> None:
    daemon.answers["GET /collab/v1/models"] = {"models": [MODEL | {"digest": tiny_package.digest}]}
    with serving(folder) as server:
        pin = re.search(r"sha256 (\w+)", run("models", "index", tiny_package.path, "--out", folder).stdout)
        assert pin is not None
        ran = run("models", "pull", "tiny", "--index", f"{server.url}index.json", "--sha256", pin[1])
        assert [path for path, _ in server.asked] == ["/index.json"]
    assert ran.stdout.startswith("tiny:1 is served already (")
    assert loaded == []


def test_run_asks_a_model_that_is_served_without_an_index(run: Run, daemon: LittleDaemon) -> None:
    ran = run("run", "net", "cat.npy", "--top", "2")
    assert ran.exit_code == 1  # there is no such file; the model was found
    assert "index" not in ran.stderr
    assert not [asked for asked in daemon.asked if asked.line == "GET /collab/v1/config"]


def test_run_pulls_what_is_absent_and_prints_the_answer_alone(
    run: Run, daemon: LittleDaemon, folder: Path, loaded: list[Package], tmp_path: Path
) -> None:
    image = tmp_path / "cat.png"
    from PIL import Image

    Image.new("RGB", (8, 8)).save(image)
    ran = run("run", "tiny", image, "--index", folder / "index.json", "--json", "--budget", "80ms")
    assert (ran.exit_code, len(loaded)) == (0, 1), ran.output
    assert json.loads(ran.stdout)["model"] == "net"
    assert "added net" in ran.stderr
    (asked,) = [each for each in daemon.asked if each.line.endswith("/infer")]
    assert asked.line == "POST /v2/models/tiny/infer"
    assert asked.infer().parameters["budget"] == "80ms"


def test_run_and_infer_take_the_same_options(run: Run) -> None:
    def options(command: str) -> set[str]:
        return set(re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", run(command, "--help").output, re.MULTILINE))

    assert options("infer") - {"--model"} == options("run") - {"--index", "--sha256", "--key"}
