"""The ladder of who may administer: every case, and real peers of real users."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from collabd.device.api import permissions
from collabd.device.api.permissions import ADMINISTERS, PeerKind, case_of, gatekeeper
from collabd.http.error_replies import error_middleware
from collabd.http.peers import PeerCredentials, credentials

# Any group that this machine has, and that no peer here is in without being told so.
GROUP = next(group for group in grp.getgrall() if group.gr_gid not in {0, 1000, 65534, os.getegid()})
STAFF = GROUP.gr_gid
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")

LADDER: list[tuple[str, PeerCredentials | None, PeerKind]] = [
    ("no credentials", None, PeerKind.UNKNOWN),
    ("the overflow user", PeerCredentials(1, 65534, frozenset({STAFF})), PeerKind.UNKNOWN),
    ("root", PeerCredentials(1, 0, frozenset({0})), PeerKind.ROOT),
    ("the daemon's own user", PeerCredentials(1, 1234, frozenset()), PeerKind.OWN),
    ("a member of the group", PeerCredentials(1, 1000, frozenset({1000, STAFF})), PeerKind.ADMINISTRATOR),
    ("anybody else", PeerCredentials(1, 1000, frozenset({1000})), PeerKind.CALLER),
]


@pytest.mark.parametrize(
    ("peer", "case"), [(peer, case) for _, peer, case in LADDER], ids=[name for name, *_ in LADDER]
)
def test_the_ladder(peer: PeerCredentials | None, case: PeerKind) -> None:
    assert case_of(peer, STAFF, own_uid=1234) is case


def test_without_a_group_nobody_is_in_it() -> None:
    assert case_of(PeerCredentials(1, 54321, frozenset({STAFF})), None, own_uid=1234) is PeerKind.CALLER


def test_who_administers() -> None:
    assert set(PeerKind) - ADMINISTERS == {PeerKind.UNKNOWN, PeerKind.CALLER}


# Asks in a process of that user and those groups, with what is in the image of Python alone.
_ASK = """
import json, os, socket, sys
path, method, url, uid, groups = sys.argv[1:]
if int(uid) >= 0:
    os.setgroups(json.loads(groups)), os.setgid(int(uid)), os.setuid(int(uid))
with socket.socket(socket.AF_UNIX) as asker:
    asker.connect(path)
    asker.sendall(f"{method} {url} HTTP/1.1\\r\\nHost: d\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print(b"".join(iter(lambda: asker.recv(65536), b"")).decode())
"""


@pytest.fixture
async def gate() -> AsyncIterator[Path]:
    """A socket behind which everything succeeds that is let through."""

    async def through(_: web.Request) -> web.Response:
        return web.Response(text="through")

    app = web.Application(middlewares=[error_middleware, gatekeeper(GROUP.gr_name)])
    app.router.add_route("*", "/{path:.*}", through)
    runner = web.AppRunner(app)
    await runner.setup()
    # Not pytest's own folder, which other users cannot enter.
    with tempfile.TemporaryDirectory(prefix="gate-") as directory:
        path = Path(directory) / "sock"
        path.parent.chmod(0o755)
        await web.UnixSite(runner, path).start()
        path.chmod(0o666)
        yield path
        await runner.cleanup()


async def ask(path: Path, method: str, url: str, uid: int = -1, groups: tuple[int, ...] = ()) -> str:
    """The reply to `uid` (-1: ourselves)."""
    command = [sys.executable, "-I", "-c", _ASK, str(path), method, url, str(uid), json.dumps(groups)]
    return (await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)).stdout


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("uid", "groups", "let"),
    [(1000, (), False), (1000, (STAFF,), True), (65534, (STAFF,), False), (0, (), True), (-1, (), True)],
)
async def test_administering_is_for_administrators(gate: Path, uid: int, groups: tuple[int, ...], let: bool) -> None:
    for method, url in (("POST", "/collab/v1/models"), ("DELETE", "/collab/v1/models/x"), ("PUT", "/collab/v1/new")):
        reply = await ask(gate, method, url, uid, groups)
        assert (" 200 " in reply.splitlines()[0]) is let
        assert ("permission_refused" in reply) is not let


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("method", "url"),
    [("GET", "/collab/v1/config"), ("GET", "/collab/v1/explain"), ("POST", "/v2/models/m/infer"), ("GET", "/metrics")],
)
async def test_whoever_reaches_the_socket_infers_and_reads(gate: Path, method: str, url: str) -> None:
    assert "through" in await ask(gate, method, url, 1000)


@NEEDS_ROOT
async def test_a_refusal_says_who_one_is_and_what_to_do_and_is_logged(
    gate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await ask(gate, "DELETE", "/collab/v1/models/x", 1000)
    assert str(PeerKind.CALLER) in reply
    assert "uid 1000" in reply
    assert "use sudo" in reply
    assert f"the group {GROUP.gr_name}" in reply
    assert f"refused DELETE /collab/v1/models/x to {PeerKind.CALLER} (uid 1000)" in caplog.text


async def test_the_user_that_started_the_daemon_administers_it(gate: Path) -> None:
    assert "through" in await ask(gate, "DELETE", "/collab/v1/models/x")


def test_a_group_that_is_not_there_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    assert permissions._gid("no-such-group") is None
    assert "no-such-group" in caplog.text
    assert permissions._gid("") is None


async def test_a_peer_over_the_network_has_no_credentials() -> None:
    seen: list[PeerCredentials | None] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(credentials(writer.transport))
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await reader.read()
        writer.close()
    assert seen == [None]


def test_the_layout_of_the_kernels_answer_is_ours() -> None:
    left, right = socket.socketpair()
    with left, right:
        answer = left.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    assert struct.unpack("3i", answer) == (os.getpid(), os.geteuid(), os.getegid())
