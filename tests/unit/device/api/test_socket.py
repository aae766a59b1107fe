"""The Unix socket: ours, a stale one, somebody's, systemd's."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collab_sdk import Client, DaemonUnavailable
from collab_sdk._socket_path import socket_path
from collabd.device.api.socket import SocketInUse, open_socket
from tests.patience import PATIENCE_S, PROGRAM_S


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
        with pytest.raises(SocketInUse, match="another collabd already answers"):
            open_socket(str(path))
        assert path.exists()


def test_the_default_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with open_socket("") as listener:
        assert Path(listener.getsockname()) == tmp_path / "collabd/collabd.sock" == socket_path(None)


def activated(listener: socket.socket, code: str) -> str:
    """What the code prints in a process that systemd started: the listening socket is fd 3, LISTEN_PID names it."""
    start = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid())\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code, str(listener.fileno())],
        env=os.environ | {"LISTEN_FDS": "1"},
        pass_fds=(listener.fileno(),),
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    return done.stdout + done.stderr


def test_socket_activation(tmp_path: Path) -> None:
    path = tmp_path / "activated.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code = "from collabd.device.api.socket import open_socket; print(open_socket('/nowhere/at/all').getsockname())"
        assert activated(listener, code).strip() == str(path)


def test_who_waits_is_told_that_the_configuration_is_bad_and_waits_no_more(tmp_path: Path) -> None:
    """Connections that nobody takes would have systemd start the daemon again and again."""
    path, bad = tmp_path / "activated.sock", tmp_path / "bad.toml"
    bad.write_text("[planing]\n")
    image = np.zeros((1000, 1000, 3), np.uint8)
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as pool:
        listener.bind(str(path))
        listener.listen()
        asked: list[Future[Any]] = [pool.submit(Client(path).status), pool.submit(Client(path).infer, image)]
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(str(path))
        for _ in range(50):  # until both have come, there may be nobody to tell
            said = activated(listener, f"from collabd.__main__ import main; main(['--config', {str(bad)!r}])")
            if all(each.done() for each in asked):
                break
        assert "did you mean 'planning'" in said
        for each in asked:
            with pytest.raises(DaemonUnavailable, match="its configuration is bad"):
                each.result(PATIENCE_S)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
