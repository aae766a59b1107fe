"""The way to the daemon."""

from __future__ import annotations

import grp
import os
import socket
from dataclasses import replace
from pathlib import Path

from collab_sdk.errors import DaemonUnavailable
from collabd.ctl.doctor.context import COMPANION, Context, Heard
from collabd.ctl.doctor.machine import User
from collabd.ctl.doctor.socket import check_daemon, check_socket, of_access, of_mode
from tests.unit.ctl.conftest import STATUS
from tests.unit.ctl.doctor.conftest import Make

PATH = Path("/run/collabd/collabd.sock")


def test_a_socket_that_is_there(machine: Make, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o660)
        (found,) = check_socket(Context(machine(), path))
    group = grp.getgrgid(path.stat().st_gid).gr_name
    assert (found.severity, found.title) == ("ok", f"{path}: mode 0660, group {group}")


def test_no_socket(machine: Make, tmp_path: Path) -> None:
    (found,) = check_socket(Context(machine(), tmp_path / "none"))
    assert (found.code, found.severity) == ("socket", "error")
    assert "systemctl start collabd" in found.advice


def test_a_file_in_its_place(machine: Make, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    path.write_text("")
    (found,) = check_socket(Context(machine(), path))
    assert (found.severity, found.title) == ("error", f"{path} is not a socket")


def test_a_socket_for_everybody_is_a_warning() -> None:
    assert of_mode(PATH, 0o666, "collab").severity == "warning"
    assert of_mode(PATH, 0o660, "collab").severity == "ok"


def test_who_is_not_in_the_group_joins_it(machine: Make) -> None:
    there = machine({"/etc/group": "root:x:0:\ncollab:x:990:collabd,bob\n"})
    found = of_access(there, PATH, group="collab", gid=990)
    assert found.severity == "error"
    assert "sudo usermod -aG collab ada" in found.advice


def test_who_joined_and_did_not_log_in_again_does(machine: Make) -> None:
    there = machine({"/etc/group": "collab:x:990:collabd,ada\n"})
    found = of_access(there, PATH, group="collab", gid=990)
    assert "after this login" in found.title
    assert "newgrp collab" in found.advice


def test_a_member_who_is_shut_out_blames_the_mode(machine: Make) -> None:
    there = machine({"/etc/group": "collab:x:990:ada\n"})
    found = of_access(replace(there, user=User(1000, "ada", frozenset({990}))), PATH, group="collab", gid=990)
    assert "closed to its group" in found.title


def test_a_companion_alone_has_no_socket(machine: Make, tmp_path: Path) -> None:
    context = Context(machine(), tmp_path / "none", roles=(COMPANION,))
    assert [*check_socket(context), *check_daemon(context)] == []


def test_a_daemon_that_answers(machine: Make) -> None:
    (found,) = check_daemon(Context(machine(), PATH, heard=Heard(STATUS)))
    assert (found.severity, found.title) == ("ok", "collabd 0.1.0 answers, with 2 models")


def test_a_daemon_of_another_version(machine: Make) -> None:
    (found,) = check_daemon(Context(machine(), PATH, heard=Heard({**STATUS, "version": "0.0.9"})))
    assert found.severity == "warning"
    assert "systemctl restart collabd" in found.advice


def test_a_daemon_that_still_loads(machine: Make) -> None:
    (found,) = check_daemon(Context(machine(), PATH, heard=Heard({**STATUS, "ready": False})))
    assert found.severity == "note"


def test_a_daemon_that_is_silent(machine: Make) -> None:
    (found,) = check_daemon(Context(machine(), PATH, heard=Heard(failure=DaemonUnavailable("nobody there"))))
    assert found.severity == "error"
    assert "nobody there" in found.title
    assert "socket" in found.unless


def test_we_are_somebody() -> None:
    from collabd.ctl.doctor.machine import whoever_runs_this

    assert whoever_runs_this().uid == os.geteuid()
