"""The Unix socket: ours, a stale one, somebody's, systemd's."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from collab_sdk._socket_path import socket_path
from collabd.device.socket import SocketInUse, open_socket


def test_a_new_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "run/collabd.sock"
    with open_socket(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "collabd.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with open_socket(str(path)) as listener:
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_socket_that_answers_belongs_to_somebody(tmp_path: Path) -> None:
    path = tmp_path / "collabd.sock"
    with open_socket(str(path)) as first:
        first.listen()
        with pytest.raises(SocketInUse, match="another collabd answers"):
            open_socket(str(path))
        assert path.exists()


def test_the_default_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with open_socket("") as listener:
        assert Path(listener.getsockname()) == tmp_path / "collabd/collabd.sock" == socket_path(None)


def test_socket_activation(tmp_path: Path) -> None:
    """As systemd does it: the listening socket is fd 3, and LISTEN_PID names the process."""
    path = tmp_path / "activated.sock"
    child = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "from collabd.device.socket import open_socket\n"
        "print(open_socket('/nowhere/at/all').getsockname())"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        done = subprocess.run(
            [sys.executable, "-c", child, str(listener.fileno())],
            env=os.environ | {"LISTEN_FDS": "1"},
            pass_fds=(listener.fileno(),),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == str(path)
