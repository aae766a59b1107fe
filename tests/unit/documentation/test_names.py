"""Files, metrics, errors, environment variables and identifiers that the documentation names exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from handbook.errors import errors
from handbook.events import names
from handbook.metrics import companion_metrics, device_metrics, name_of
from tests.pages import CHECKOUT, PAGES, prose_of, spans_of

FOLDERS = ("collabd", "sdk", "packaging", "tests", "docs", "etc", "models", "examples", "handbook", "release")
# Folders that short paths of the text start from.
KINDS = {".py", ".toml", ".mk", ".sh", ".service", ".socket", ".yaml", ".catalog", ".in"}
BASES = ("", "collabd", "collabd/device", "collabd/device/call", "sdk", "sdk/collab_sdk", "models")
_PATH = re.compile(r"[a-z_][\w.]*(?:/[\w.*-]+)+/?")
# Files of a sensor that CONTRIBUTING.md takes as an example.
IMAGINED = {"collabd/sensing/machine/fan.py", "tests/unit/sensing/machine/test_fan.py"}
_METRIC = re.compile(r"\b(?:collabd|collab_cloud)_[a-z_]+\b")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names of other programs: OpenCV, Docker, KServe, Frigate, Home Assistant, torchvision.
FOREIGN = {
    "waitKey", "mem_limit", "InferenceRESTClient", "input_pixel_format", "labelmap_path", "deepstack_object",
    "inception_v3", "r3d_18", "fcos_resnet50_fpn", "deeplabv3_mobilenet_v3_large", "r2plus1d_18",
}  # fmt: skip


@cache
def words_of_the_code() -> frozenset[str]:
    """Every identifier in the code, the tests among it; these pages and what checks them are left out."""
    paths = [path for folder in FOLDERS if folder != "docs" for path in (CHECKOUT / folder).rglob("*")]
    sources = [path for path in paths if path.is_file() and (path.suffix in KINDS or path.name == "Dockerfile")]
    texts = (path.read_text(encoding="utf-8") for path in sources if path.parent != Path(__file__).parent)
    return frozenset(word for text in texts for word in _IDENTIFIER.findall(text))


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    folder = (CHECKOUT / page).parent
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose_of(page)) if "://" not in link]
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    missing = []
    for span in spans_of(page):
        place = span.partition("::")[0]
        if _PATH.fullmatch(place) and place.split("/")[0] in FOLDERS and place not in IMAGINED:
            bases = [CHECKOUT / base / place for base in BASES]
            if not any(path.exists() or path.with_suffix(".py").exists() for path in bases) and not list(
                CHECKOUT.glob(place)
            ):
                missing.append(span)
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_tests_that_are_named_exist(page: str) -> None:
    """`tests/unit/test_config.py::test_name`."""
    named = re.findall(r"\b(tests/[\w/]+\.py)::(\w+)", PAGES[page])
    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in (CHECKOUT / file).read_text()] == []


@pytest.mark.parametrize("page", ["docs/architecture.md"])
def test_short_paths_of_the_architecture_exist(page: str) -> None:
    """`device/call/dispatcher` is collabd/device/call/dispatcher.py."""
    places = [span for span in spans_of(page) if re.fullmatch(r"[a-z_]+(?:/[a-z_]+)+", span)]
    assert len(places) > 50
    at = [(CHECKOUT / base / place) for place in places for base in BASES]
    there = {path for path in at if path.is_dir() or path.with_suffix(".py").is_file()}
    assert [place for place in places if not there & {CHECKOUT / base / place for base in BASES}] == []


@pytest.mark.parametrize("page", PAGES)
def test_metrics_that_are_named_exist(page: str) -> None:
    known = {name_of(metric) for metric in (*device_metrics(), *companion_metrics())} | words_of_the_code()
    assert {name for span in spans_of(page) for name in _METRIC.findall(span)} <= known


@pytest.mark.parametrize("page", PAGES)
def test_identifiers_that_are_named_exist(page: str) -> None:
    """Of spans that are a name, a dotted name or a call: `result.plan.cut`, `BudgetInfeasible`, `latency_ms`."""
    named = set()
    for span in spans_of(page):
        head = span.partition("(")[0]
        if re.fullmatch(r"[A-Za-z_][\w.]*", head) and not head.endswith((".md", ".toml", ".json", ".onnx", ".pair")):
            named |= {part for part in head.split(".") if "_" in part or re.search(r"[a-z][A-Z]", part)}
    assert named - words_of_the_code() - FOREIGN == set()


@pytest.mark.parametrize("page", PAGES)
def test_errors_and_events_that_are_named_exist(page: str) -> None:
    codes = {error.code for _, error in errors()}
    said = {span for span in spans_of(page) if re.fullmatch(r"[a-z]+_unavailable", span)}
    assert said <= codes
    identifiers = set(re.findall(r"\b[0-9a-f]{32}\b", PAGES[page]))
    assert identifiers <= set(names())
