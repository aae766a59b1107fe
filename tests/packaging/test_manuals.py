"""The manual pages say all that there is to say, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import pytest

from collabd.__main__ import main as collabd
from collabd.cloud.__main__ import main as collab_cloudd
from collabd.config import CloudConfig, DeviceConfig
from collabd.ctl.__main__ import main as collabctl

ROOT = Path(__file__).parents[2]
MANUALS = ROOT / "packaging/man"


def settings_page(name: str) -> str:
    """The page of a configuration file, as `make install` makes it."""
    script, template, shown = MANUALS / "settings.py", MANUALS / f"{name}.5.in", ROOT / "etc" / name
    made = subprocess.run([sys.executable, script, template, shown], check=True, capture_output=True, text=True)
    return made.stdout


PAGES = {path.name: path.read_text() for path in MANUALS.glob("*.[18]")}
PAGES |= {f"{name}.5": settings_page(name) for name in ("collabd.toml", "collab-cloudd.toml")}


def test_every_program_and_file_has_a_page() -> None:
    assert set(PAGES) == {"collabctl.1", "collabd.8", "collab-cloudd.8", "collabd.toml.5", "collab-cloudd.toml.5"}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "command", [["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-mdoc", "-ww", "-z", "-T", "utf8"]]
)
def test_a_page_is_well_formed(tmp_path: Path, name: str, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    page = tmp_path / name
    page.write_text(PAGES[name])
    found = subprocess.run([*command, page], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def keys(kind: Any, prefix: str = "") -> Iterator[str]:
    """The settings of a configuration; those of its [[tables]] under the table's name."""
    for field in msgspec.structs.fields(kind):
        item = next(iter(get_args(field.type)), field.type)
        if isinstance(item, type) and issubclass(item, msgspec.Struct):
            yield from keys(item, f"{prefix}{field.encode_name}.")
        else:
            yield f"{prefix}{field.encode_name}"


SETTINGS = {"collabd.toml": sorted(keys(DeviceConfig)), "collab-cloudd.toml": sorted(keys(CloudConfig))}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_configuration_page_has_every_setting(name: str) -> None:
    documented = []
    table = ""
    for line in PAGES[f"{name}.5"].splitlines():
        if opened := re.fullmatch(r"\.Ss (?:\\\(lB)+([a-z]+)(?:\\\(rB)+", line):
            table = f"{opened[1]}."
        elif item := re.match(r'\.It Ic "([a-z_]+) = .', line):
            documented.append(table + item[1])
    assert sorted(documented) == SETTINGS[name]


def long_options(command: click.Command) -> set[str]:
    """All that it takes."""
    options = [option for parameter in command.params for option in parameter.opts]
    return {option.removeprefix("--") for option in options if option.startswith("--")} | {"help"}


def documented_options(page: str) -> set[str]:
    """Those that an item of a list, or the heading of a command, names."""
    headings = "\n".join(line for line in page.splitlines() if line.startswith(".It"))
    return set(re.findall(r"(?:Fl|,) -([a-z][a-z0-9-]*)", headings))


@pytest.mark.parametrize(("page", "command"), [("collabd.8", collabd), ("collab-cloudd.8", collab_cloudd)])
def test_a_daemons_page_has_every_option(page: str, command: click.Command) -> None:
    assert documented_options(PAGES[page]) == long_options(command)


def leaves(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, by their full name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_the_page_of_collabctl_has_every_command_and_option() -> None:
    commands = PAGES["collabctl.1"].split("\n.Sh BUDGETS")[0].split("\n.It Nm Cm ")[1:]
    names = dict(leaves(collabctl))
    documented = {}
    for text in commands:
        name = next(name for name in sorted(names, key=len, reverse=True) if text.startswith(name))
        documented[name] = documented_options(f".It {text}") | {"help", "socket"}
    assert documented == {name: long_options(command) for name, command in names.items()}
