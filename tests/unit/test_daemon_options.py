"""`collabd --check` and `collab-cloudd --check`, and which file is meant."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from collabd import __main__ as device
from collabd.cloud import __main__ as cloud
from collabd.config import ConfigError, DeviceConfig, Source

DAEMONS = pytest.mark.parametrize("main", [device.main, cloud.main], ids=["collabd", "collab-cloudd"])


@DAEMONS
def test_a_good_file_is_said_to_be_good(main: click.Command, tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text("[engine]\nthreads = 1\n")
    done = CliRunner().invoke(main, ["--check", "--config", str(path)])
    assert (done.exit_code, done.output) == (0, f"{path}: no mistakes\n")


@DAEMONS
def test_a_bad_file_is_refused_with_all_its_mistakes(main: click.Command, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[engine]\nthreads = -1\nthread = 1\n")
    done = CliRunner().invoke(main, ["--check", "--config", str(path)])
    assert done.exit_code == 78
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" engine.threads", " engine.thread"]


def test_the_file_is_the_given_one_else_the_default_else_none(tmp_path: Path) -> None:
    given, default = tmp_path / "given.toml", tmp_path / "default.toml"
    source = Source(DeviceConfig, None, default)
    assert source.load().path is None
    default.write_text("")
    assert source.load().path == default
    with pytest.raises(ConfigError, match="no such file"):
        Source(DeviceConfig, given, default).load()
