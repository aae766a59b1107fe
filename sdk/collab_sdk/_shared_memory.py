"""Large tensors go to the daemon through shared memory: one copy here, and none of their bytes on the socket.

A region is a file in shared memory without a name: it loses its name as soon as the daemon has opened it, so nothing is
left over however the program ends. One call at a time uses a region. A region whose call ended without an answer is
unregistered before its memory is given back, since the daemon may still read it.

Where shared memory does not work (no room, another container, a daemon that refuses), the bytes go over the socket.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from collab_sdk._message import Message, decode_error
from collab_sdk.errors import CollabError, PermissionRefused
from collab_sdk.transport import DaemonReply, DaemonRequest, Transport

# Below, the socket costs no more processor time, on slow devices either; docs/architecture.md has the measurement.
LEAST_BYTES = 16 * 1024
# How many calls at once may use a region; more use the socket.
MOST_REGIONS = 8
DIRECTORY = Path("/dev/shm")  # noqa: S108  the names are random, and the files new
# Seconds: what registering may take, and how long nothing is tried after the daemon refused.
_PATIENCE_S = 1.0
_REFUSED_FOR_S = 10.0


class LentRegion:
    """Memory that the daemon has opened. ``name``: how the daemon calls it."""

    def __init__(self, name: str, memory: mmap.mmap) -> None:
        self.name = name
        self.size = len(memory)
        self._view = memoryview(memory)

    def hold(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Copy these bytes here, one chunk after another."""
        at = 0
        for chunk in chunks:
            end = at + len(chunk)
            self._view[at:end] = chunk
            at = end


class Regions:
    """The regions of one client; its threads share them."""

    def __init__(self, transport: Transport, directory: Path = DIRECTORY) -> None:
        self._transport = transport
        self._directory = directory
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._free: list[LentRegion] = []
        # How many there are, free or lent.
        self._made = 0
        # Names of those that the daemon is to forget.
        self._left_over: list[str] = []
        self._not_before = 0.0
        self._closed = False

    def lend(self, size: int, within_s: float) -> LentRegion | None:
        """A region for that many bytes, which no other call uses; None: they are to go over the socket."""
        if size < LEAST_BYTES or self._closed:
            return None
        with self._lock:
            if self._owner != os.getpid():
                # A fork's two processes would write into the same memory.
                self._forget()
            for region in self._free:
                if region.size >= size:
                    self._free.remove(region)
                    return region
            if self._made == MOST_REGIONS and self._free:
                self._drop(self._free.pop(0))
            if self._made == MOST_REGIONS or time.monotonic() < self._not_before:
                return None
            self._made += 1
            left_over, self._left_over = self._left_over, []
        patience_s = min(within_s, _PATIENCE_S)
        self._unregister(left_over, patience_s)
        made = self._new(size, patience_s)
        if made is None:
            with self._lock:
                self._made -= 1
                self._not_before = time.monotonic() + _REFUSED_FOR_S
        return made

    def give_back(self, region: LentRegion) -> None:
        """The call that used the region was answered."""
        with self._lock:
            if not self._closed:
                self._free.append(region)
                return
        self._unregister([region.name], _PATIENCE_S)

    def retire(self, region: LentRegion) -> None:
        """The call that used the region had no answer: the daemon may read it yet."""
        with self._lock:
            self._drop(region)

    def lost(self) -> None:
        """The daemon does not know a region: it has restarted since, and knows none of those that are free."""
        with self._lock:
            self._made -= 1 + len(self._free)
            self._free = []

    def close(self) -> None:
        """Give the regions back; those in use when their call has ended."""
        with self._lock:
            self._closed = True
            if self._owner != os.getpid():
                self._forget()
            for region in self._free:
                self._drop(region)
            self._free = []
            left_over, self._left_over = self._left_over, []
        self._unregister(left_over, _PATIENCE_S)

    def _drop(self, region: LentRegion) -> None:
        self._made -= 1
        self._left_over.append(region.name)

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._free, self._made, self._left_over = [], 0, []

    def _new(self, size: int, patience_s: float) -> LentRegion | None:
        """A region that the daemon knows; None: it cannot be had."""
        name = f"collab-{os.getpid()}-{os.urandom(8).hex()}"
        path = self._directory / name
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            # Takes the memory now: where there is none left, writing would kill the program.
            os.posix_fallocate(descriptor, 0, size)
            memory = mmap.mmap(descriptor, size)
            if self._register(name, descriptor, size=size, patience_s=patience_s):
                return LentRegion(name, memory)
        except OSError:
            pass
        finally:
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
        # A daemon whose reply came too late may have it.
        with self._lock:
            self._left_over.append(name)
        return None

    def _register(self, name: str, descriptor: int, *, size: int, patience_s: float) -> bool:
        request = _request(name, "register", {"key": f"/{name}", "offset": 0, "byte_size": size})
        reply = self._ask(request, patience_s)
        error = None if reply is None or reply.status == HTTPStatus.OK else decode_error(reply.status, reply.body)
        reader = error.details.get("uid") if isinstance(error, PermissionRefused) else None
        if type(reader) is int:
            # The daemon is another user, who may not read our files. Nobody else may read this one.
            _let_read(descriptor, reader)
            reply = self._ask(request, patience_s)
        return reply is not None and reply.status == HTTPStatus.OK

    def _unregister(self, names: list[str], patience_s: float) -> None:
        for name in names:
            if self._ask(_request(name, "unregister", {}), patience_s) is None:
                # Nobody is there to be told, and the next daemon knows none of them.
                return

    def _ask(self, request: DaemonRequest, patience_s: float) -> DaemonReply | None:
        try:
            return self._transport.send(request, timeout_s=patience_s)
        except CollabError:
            return None


def _request(name: str, what: str, content: dict[str, object]) -> DaemonRequest:
    message = Message([json.dumps(content).encode()], {"Content-Type": "application/json"})
    return DaemonRequest("POST", f"/v2/systemsharedmemory/region/{name}/{what}", message)


def _let_read(descriptor: int, uid: int) -> None:
    """Let one more user read the file: its owner reads and writes it, others have no rights. OSError: not possible.

    The bytes are those of linux/posix_acl_xattr.h: a version, then kind, rights and user of each entry.
    """
    nobody = 0xFFFFFFFF
    owner, user, group, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
    entries = ((owner, 6, nobody), (user, 4, uid), (group, 0, nobody), (mask, 4, nobody), (other, 0, nobody))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(descriptor, "system.posix_acl_access", acl)
