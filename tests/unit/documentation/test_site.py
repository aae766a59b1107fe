"""The site builds without a warning, asks no other host for anything, and documents all that there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import click
import pytest
import yaml

import collab_sdk
from collabd.device.job.options import PARAMETERS
from handbook import events, metrics, protocol, rooms, sdk
from handbook.commands import PROGRAMS, targets
from handbook.errors import errors
from handbook.pages import DOCS, MADE, SHOWN
from handbook.settings import FILES, settings_of
from tests.pages import CHECKOUT
from tests.patience import PROGRAM_S
from tests.unit.documentation.test_commands import PROGRAMS as COMMANDS

pytestmark = pytest.mark.slow
# What a page asks for by itself when it is opened; links that one may follow are no part of that.
_ASKED = re.compile(
    r"<(?:script|img|source|iframe)[^>]*\ssrc=\"?([^\"\s>]+)|<link[^>]*rel=\"?(?:stylesheet|preconnect|icon)[^>]*>"
)
_TAG = re.compile(r"<[^>]+>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A warning, such as of a link that leads nowhere, fails the build."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=CHECKOUT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def text_of(site: Path, page: str) -> str:
    """The words of a page of the site."""
    return unescape(_TAG.sub("", (site / page).with_suffix(".html").read_text(encoding="utf-8")))


def test_a_page_asks_no_other_host_for_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    asked = {found[0] for page in pages for found in _ASKED.finditer(page.read_text(encoding="utf-8"))}
    assert asked
    assert [each for each in asked if re.search(r"(https?:)?//(?!www\.w3\.org)", each)] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text())["nav"]
    pages = [page for group in listed for each in group.values() for entry in each for page in entry.values()]
    assert sorted(pages) == sorted({*(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")), *SHOWN})


def test_every_part_that_is_made_has_its_place() -> None:
    text = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    assert sorted(re.findall(r"<!-- made: (\w+) -->", text)) == sorted(MADE)


def test_every_setting_is_documented(site: Path) -> None:
    page = (site / "reference/settings.html").read_text()
    for name, kind in FILES.items():
        program = name.removesuffix(".toml")
        assert [each.key for each in settings_of(kind) if f'id="{program}.{each.key}"' not in page] == []


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child, each in command.commands.items():
            yield from commands(each, f"{name} {child}")


def test_every_command_and_option_is_documented(site: Path) -> None:
    assert PROGRAMS.keys() == COMMANDS.keys()
    said = text_of(site, "reference/commands.html")
    for program, root in COMMANDS.items():
        for name, command in commands(root, program):
            (start,) = (found.start() for found in re.finditer(rf"Usage:\s+{name} [\[A-Z]", said))
            section = said[start : said.find("Usage:", start + 1)]
            options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
            assert [option for option in options if option not in section] == [], name


def test_every_error_metric_and_event_is_documented(site: Path) -> None:
    of_errors, of_metrics = text_of(site, "reference/errors.html"), text_of(site, "reference/metrics.html")
    assert [error.code for depth, error in errors() if depth and error.code not in of_errors] == []
    every = [*metrics.device_metrics(), *metrics.companion_metrics()]
    assert [metric.name for metric in every if metrics.name_of(metric) not in of_metrics] == []
    assert [metric.name for metric in every if not metric.documentation] == []
    assert {event.message_id for event in events.catalogue()} == set(events.names())


def test_every_path_and_parameter_is_documented(site: Path) -> None:
    said = text_of(site, "reference/protocol.html")
    for title, app in protocol.applications().items():
        paths = list(protocol.paths(app))
        assert [path for _, path, says in paths if not says] == [], f"{title}: what does it answer?"
        assert [path for _, path, _ in paths if path not in said] == []
    assert [name for name in PARAMETERS if name not in said] == []


def test_every_public_name_of_the_sdk_is_documented(site: Path) -> None:
    grouped = {name for names in sdk.GROUPS.values() for name in names}
    assert grouped | sdk.elsewhere() == set(collab_sdk.__all__)
    page = (site / "reference/sdk.html").read_text()
    assert [name for name in grouped if f'.{name}"' not in page] == []


def test_every_room_says_what_it_is_for(site: Path) -> None:
    said = text_of(site, "reference/rooms.html")
    for top in rooms.TOPS.values():
        assert [room for room, _, job in rooms.rooms(top) if not job or room not in said] == []
    assert [name for name, _ in targets() if f"make {name}" not in text_of(site, "reference/make.html")] == []
