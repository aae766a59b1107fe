"""Every setting that the documentation names exists, and every configuration that it shows is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from collab_sdk.mqtt import Broker
from collabd import config
from collabd.catalog.pull import index
from handbook.settings import FILES, prose, settings_of
from tests.pages import BLOCKS, PAGES, Block, spans_of

KEYS = {name: {setting.key for setting in settings_of(kind)} for name, kind in FILES.items()}
ALL = set().union(*KEYS.values())
TABLES = {key.rpartition(".")[0] for key in ALL} - {""}
# Tables of files that are not ours.
FOREIGN = {"options", "models"}


def load(block: Block, path: Path) -> None:
    """As the program reads it that the file is for. Raises what that raises."""
    text = block.text
    match block.about:
        case "mqtt.toml":
            path.write_text(text)
            path.chmod(0o600)
            Broker.read(path)
        case "index.toml":
            index.decode(
                text.replace("…", "0" * 64).encode(),
                "index.toml",
            )
        case "a door":
            path.write_text('[[doors]]\nkind = "oip"\nlisten = "127.0.0.1:8000"\n' + text)
            config.load(config.DeviceConfig, path)
        case "collab-cloudd.toml":
            path.write_text(text)
            config.load(config.CloudConfig, path)
        case "":
            path.write_text(text)
            config.load(config.DeviceConfig, path)
        case other:
            raise AssertionError(f"nobody knows how {other} is loaded")


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "toml"], ids=str)
def test_a_configuration_loads(block: Block, tmp_path: Path) -> None:
    load(block, tmp_path / "shown.toml")


def test_one_with_a_setting_that_is_not_there_does_not(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="unknown key"):
        load(Block("", 1, "toml", "[planning]\ninherit_sec = 1\n", ""), tmp_path / "shown.toml")


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "yaml"], ids=str)
def test_what_other_programs_read_is_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize("page", PAGES)
def test_settings_in_the_text_exist(page: str) -> None:
    """`[table] key`, `[[table]]` and `table.key`."""
    named = set()
    for span in spans_of(page):
        if found := re.fullmatch(r"\[+([a-z_]+)\]+(?: ([a-z_]+)(?: = .*)?)?", span):
            named.add(".".join(filter(None, found.groups())))
        elif (found := re.fullmatch(r"([a-z]+)\.([a-z_]+)", span)) and found[1] in TABLES - {"server", "models"}:
            named.add(span)
    assert named <= ALL | TABLES


@pytest.mark.parametrize("name", FILES)
def test_the_installed_file_tells_of_each_setting(name: str) -> None:
    told = prose(name)
    assert set(told) == KEYS[name]
