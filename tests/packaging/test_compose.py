"""The example that runs as many companions as one says behind HAProxy: its files fit together and to the image."""

from __future__ import annotations

import difflib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from collabd.config import CloudConfig, load
from collabd.ctl.__main__ import main
from collabd.ctl.pair.carried import decode
from tests.balanced.bed import CONFIGURATION, haproxy
from tests.pages import CHECKOUT

FOLDER = CHECKOUT / "packaging/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
COMPANION, BALANCER = (COMPOSE["services"][name] for name in ("companion", "balancer"))
BALANCES = (FOLDER / "haproxy.cfg").read_text()
DOCKERFILE = (CHECKOUT / "packaging/docker/Dockerfile").read_text()


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted where; an unnamed volume is ""."""
    split = (volume.removesuffix(":ro").rpartition(":") for volume in service["volumes"])
    return {target: source for source, _, target in split}


def keys_of(folder: Path) -> tuple[Path, str]:
    """The folder of the keys of companions that have these settings, made as the page says, and a device's token."""
    settings = folder / "collab-cloudd.toml"
    settings.write_text((FOLDER / "collab-cloudd.toml").read_text())
    asked = ["pair", "new", "pi", "--host", "127.0.0.1", "--config", str(settings), "--out", "-"]
    made = CliRunner().invoke(main, asked)
    assert made.exit_code == 0, made.output
    # In the container the file cannot be changed.
    assert settings.read_text() == (FOLDER / "collab-cloudd.toml").read_text()
    return folder / "keys/collab-cloudd", decode(made.stdout.encode()).token


def test_no_container_is_more_than_it_needs_to_be() -> None:
    for service in (COMPANION, BALANCER):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
    assert BALANCER["user"] == re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[0]


def test_companions_can_be_as_many_as_one_says() -> None:
    assert not {"ports", "container_name", "hostname"} & set(COMPANION)
    assert "server-template companion " in BALANCES
    assert " companion:8470 " in BALANCES


def test_what_companions_share_is_shared_and_the_image_lets_them_write_there(tmp_path: Path) -> None:
    (tmp_path / "collab-cloudd.toml").write_text((FOLDER / "collab-cloudd.toml").read_text())
    settings = load(CloudConfig, tmp_path / "collab-cloudd.toml").config
    at = mounts(COMPANION)
    assert at[settings.models.shared] in COMPOSE["volumes"]
    assert at["/etc/collabd"] == mounts(BALANCER)["/etc/collabd"] == "keys"
    assert at["/etc/collabd/collab-cloudd.toml"] == "./collab-cloudd.toml"
    # Its own: a volume without a name belongs to one container.
    assert at["/var/lib/collabd"] == ""
    owned = re.findall(r"--owner=collabd --group=collabd \\\n(.+)$", DOCKERFILE, re.MULTILINE)[0].split()
    assert {settings.models.shared, "/etc/collabd", "/var/lib/collabd"} <= set(owned)
    assert "./haproxy.cfg" in mounts(BALANCER).values()
    for source in (*at.values(), *mounts(BALANCER).values()):
        assert source in {"", *COMPOSE["volumes"]} or (FOLDER / source).is_file()


def test_a_companion_that_stops_goes_on_until_the_balancer_knows() -> None:
    settings = load(CloudConfig, FOLDER / "collab-cloudd.toml").config
    checked = re.findall(r"inter (\d+)s fall (\d+)", BALANCES)[0]
    assert settings.server.drain_s > int(checked[0]) * int(checked[1])
    assert int(COMPANION["stop_grace_period"].removesuffix("s")) > settings.server.drain_s + 20


def test_the_balancer_is_the_one_that_was_tried_but_for_keys_and_names() -> None:
    lines = difflib.ndiff(CONFIGURATION.read_text().splitlines(), BALANCES.splitlines())
    changed = [line[2:].strip() for line in lines if line[0] in "+-" and not line[2:].strip().startswith("#")]
    before, _, _ = "\n".join(filter(None, changed)).partition("resolvers docker\n")
    known = r"server(-template)? |ssl-load-extra-del-ext|bind :8470 ssl crt |default-server check "
    assert [line for line in before.splitlines() if not re.match(known, line)] == []


@pytest.mark.skipif(haproxy() is None, reason="HAProxy is not installed (apt install haproxy)")
def test_haproxy_has_nothing_to_say_of_its_configuration(tmp_path: Path) -> None:
    keys, _ = keys_of(tmp_path)
    path = tmp_path / "haproxy.cfg"
    path.write_text(BALANCES.replace("/etc/collabd/keys/collab-cloudd", str(keys)))
    checked = subprocess.run([haproxy() or "", "-c", "-f", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_command_of_the_page_names_the_file_and_its_services() -> None:
    page = (CHECKOUT / "docs/docker.md").read_text()
    commands = re.findall(r"^docker compose -f packaging/compose/compose\.yaml .+$", page, re.MULTILINE)
    assert len(commands) == 3
    assert any("--scale companion=3" in command for command in commands)
    assert any("companion collabctl pair new" in command for command in commands)
