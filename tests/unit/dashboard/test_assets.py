"""The files of the dashboard: whole, from nowhere else, and readable in both themes."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest

import collabd.dashboard
from collabd.dashboard.assets import read_assets

WEB = Path(collabd.dashboard.__file__).parent / "web"
VENDORED = WEB / "vendor/uplot"
OURS = [path for path in WEB.rglob("*") if path.is_file() and "vendor" not in path.parts]


class Page(HTMLParser):
    """What index.html asks for, and what it holds that a browser would not take."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: set[str] = set()
        self.inline: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attrs:
            if name in {"src", "href"} and value and not value.startswith("#"):
                self.wanted.add(value)
            if name == "style" or name.startswith("on"):
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)


def page() -> Page:
    read = Page()
    read.feed((WEB / "index.html").read_text())
    return read


def test_the_vendored_chart_library_is_as_it_was_published() -> None:
    lines = (VENDORED / "SHA256SUMS").read_text().splitlines()
    sums = dict(line.split("  ")[::-1] for line in lines if not line.startswith("#"))
    assert {name: hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() for name in sums} == sums
    assert {path.name for path in VENDORED.iterdir()} == {*sums, "SHA256SUMS"}
    version = lines[0].split()[2].rstrip(",")
    assert f"(v{version})" in (VENDORED / "uPlot.iife.min.js").read_text()
    assert (VENDORED / "LICENSE").read_text().startswith("The MIT License")


def test_all_that_the_page_asks_for_is_served() -> None:
    served = read_assets()
    assert "" in served
    assert page().wanted <= served.keys()
    imported = {
        name
        for path in WEB.glob("*.js")
        for name in re.findall(r"^import [^;]*? from '\./([^']+)'", path.read_text(), re.MULTILINE)
    }
    assert imported <= served.keys()
    # What nobody imports nobody needs.
    assert {path.name for path in WEB.glob("*.js")} == imported | {"main.js"}
    assert not any(name.endswith(".ts") or "LICENSE" in name for name in served)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    assert page().inline == []
    for path in OURS:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|url\(|@import", text), path


def test_no_text_is_ever_made_into_markup() -> None:
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    for path in WEB.glob("*.js"):
        assert not re.search(sinks, path.read_text()), path


def themes() -> list[dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", (WEB / "style.css").read_text(), re.DOTALL)
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", each)) for each in (light, dark)]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_everything_can_be_told_from_what_is_behind_it(theme: dict[str, str]) -> None:
    """WCAG 2.2, level AA: 4.5 for text, 3 for drawings."""
    texts = ("text", "quiet", "first", "second", "good", "notice", "warning", "error")
    assert [pair for pair in product(texts, ("ground", "card")) if contrast(*map(theme.__getitem__, pair)) < 4.5] == []
    drawn = [("first", "here"), ("second", "there"), ("text", "here"), ("text", "there"), ("quiet", "there")]
    assert [pair for pair in drawn if contrast(*map(theme.__getitem__, pair)) < 3] == []
