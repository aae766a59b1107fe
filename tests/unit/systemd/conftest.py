"""A service manager's and a journal's sockets, to read what is told."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from collabd.systemd import notify
from tests.patience import PATIENCE_S


class Mailbox:
    """The reading end of a datagram socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE_S)

    def next(self) -> bytes:
        """The next message; waits for it."""
        return self.socket.recv(100_000)

    def waiting(self) -> list[bytes]:
        """All that have come."""
        messages = []
        self.socket.setblocking(False)
        try:
            while True:
                messages.append(self.socket.recv(100_000))
        except BlockingIOError:
            return messages
        finally:
            self.socket.settimeout(PATIENCE_S)

    def fields(self) -> dict[str, str]:
        """The next message by the journal's native protocol: KEY=value lines, or KEY, length and bytes."""
        rest, found = self.next(), {}
        while rest:
            line, _, rest = rest.partition(b"\n")
            key, equals, value = line.partition(b"=")
            if not equals:
                (length,) = struct.unpack_from("<Q", rest)
                value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
            found[key.decode()] = value.decode()
        return found


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A service manager that listens."""
    mailbox = Mailbox(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(mailbox.path))
    with mailbox.socket:
        yield mailbox
        notify._notifier(str(mailbox.path)).socket.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Mailbox]:
    """A journal that listens."""
    mailbox = Mailbox(tmp_path / "journal")
    with mailbox.socket:
        yield mailbox
