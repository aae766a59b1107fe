"""`collabctl doors`: what it shows, and the tokens that it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from collabd.ctl.__main__ import main
from collabd.keys.tokens import read_tokens
from tests.unit.ctl.conftest import DOOR, LittleDaemon, Run


def test_a_door_takes_one_line_of_80_columns(run: Run) -> None:
    shown = run("doors", "list", env={"COLUMNS": "80"}).output
    head, door, *_ = shown.splitlines()
    assert head.split()[:5] == ["door", "address", "calls", "failed", "last"]
    assert door.split()[:7] == ["deepstack", "http://127.0.0.1:5000", "1234", "2", "3", "s", "ago"]
    assert "nanodet_g" in door
    assert max(map(len, shown.splitlines())) <= 80


def test_nobody_calls_through_a_dashboard(run: Run, daemon: LittleDaemon) -> None:
    dashboard = DOOR | {"kind": "dashboard", "model": None, "budget": None}
    daemon.answers["GET /collab/v1/doors"] = {"doors": [dashboard]}
    _, door, *_ = run("doors", "list", env={"COLUMNS": "120"}).output.splitlines()
    assert "default" not in door
    assert "none" not in door.split()[:9]


def test_json_is_the_report(run: Run) -> None:
    assert json.loads(run("doors", "list", "--json").output) == {"doors": [DOOR]}


def test_no_door_says_how_to_open_one(run: Run, daemon: LittleDaemon) -> None:
    daemon.answers["GET /collab/v1/doors"] = {"doors": []}
    assert "[[doors]]" in run("doors", "list").output


def test_a_key_is_printed_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    config = tmp_path / "collabd.toml"
    made = CliRunner().invoke(main, ["doors", "key", "frigate", "--config", str(config)])
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    path = tmp_path / "keys/collabd/doors"
    assert 'token_file = "keys/collabd/doors"' in made.stderr
    assert path.stat().st_mode & 0o777 == 0o400
    assert token not in path.read_text()
    assert read_tokens(str(path)).device(f"Bearer {token}") == "frigate"


@pytest.mark.parametrize("replace", [False, True])
def test_a_second_key_takes_the_place_of_the_first_only_when_told(tmp_path: Path, replace: bool) -> None:
    config = ["--config", str(tmp_path / "collabd.toml")]
    first, other = (CliRunner().invoke(main, ["doors", "key", name, *config]).stdout.strip() for name in ("a", "b"))
    again = CliRunner().invoke(main, ["doors", "key", "a", *config, *(["--replace"] if replace else [])])
    tokens = read_tokens(str(tmp_path / "keys/collabd/doors"))
    assert tokens.device(f"Bearer {other}") == "b"
    assert (tokens.device(f"Bearer {first}") is None) == replace
    assert (again.exit_code == 0) == replace
    if not replace:
        assert "--replace" in again.output
