"""The system shared memory extension of the Open Inference Protocol: callers leave their tensors in regions.

A region is a file in the shared-memory file system. Unlike Triton, the daemon does not map it. The caller may cut the
file short at any time, and who reads a mapped page behind the end of a file is killed (SIGBUS); the caller may also
write while the daemon reads, and then head and local tail could run on different images. So the daemon reads a call's
part of the region once, into memory of its own.

A region belongs to the user who registered it, and no other user can use, see or unregister it. The daemon forgets it
when the process that registered it ends, so that the dead pin no memory.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import (
    InvalidRequest,
    InvalidTensor,
    PermissionRefused,
    RequestTooLarge,
    UnknownRegion,
)
from collabd.http.peers import PeerCredentials

DIRECTORY = Path("/dev/shm")  # noqa: S108  the daemon creates nothing there
# Each region is a descriptor, and each process that registered one is another. Connections leave room for so many.
MOST_REGIONS = 128
MOST_REGIONS_EACH = 64
# Reading more holds up the event loop for over a millisecond, so it is done in a thread.
_AT_ONCE = 2**22
# What the C library takes as a name for shm_open(3), with its leading slash or without.
_KEY = re.compile(r"/?(?!\.{1,2}$)[^/\0]{1,255}")
_NAME_LENGTH = 255


@dataclass(frozen=True, kw_only=True)
class Region:
    """What a caller says of a region: `byte_size` bytes of the file `key`, from `offset` on, called `name`."""

    name: str
    key: str
    offset: int
    byte_size: int


@dataclass(frozen=True, eq=False)
class _Opened:
    region: Region
    descriptor: int
    pid: int


@dataclass(frozen=True)
class _Slice:
    """What a tensor says of its place: `byte_size` bytes of a region, from `offset` on."""

    region: str
    offset: int
    byte_size: int

    @classmethod
    def of(cls, tensor: wire.Tensor) -> _Slice | None:
        """The place of the tensor's data; None: it came with the request. Raises `InvalidTensor`."""
        if not wire.is_shared(tensor):
            return None
        region, size = tensor.parameters[wire.REGION], tensor.parameters.get(wire.REGION_BYTES, -1)
        offset = tensor.parameters.get(wire.REGION_OFFSET, 0)
        if not (isinstance(region, str) and _is_count(offset) and _is_count(size)):
            raise InvalidTensor(
                f"tensor {tensor.name[:80]!r}: {wire.REGION} must be a name, {wire.REGION_OFFSET} and "
                f"{wire.REGION_BYTES} natural numbers"
            )
        return cls(region, offset, size)


class SharedMemory:
    """The regions of all users. Create it while the event loop runs.

    `most_bytes`: of a region, and of all that one request reads from regions. `directory`: where the files are.
    """

    def __init__(self, most_bytes: int, directory: Path = DIRECTORY) -> None:
        self._most_bytes = most_bytes
        self._directory = directory
        # By user and name.
        self._opened: dict[tuple[Hashable, str], _Opened] = {}
        # A descriptor for each process that registered a region; it becomes readable when the process ends.
        self._processes: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()

    def register(self, user: Hashable, peer: PeerCredentials, region: Region) -> None:
        """Open a region for `user`, who asks as `peer`.

        Raises `InvalidRequest`, `RequestTooLarge`, and `PermissionRefused` if the file is another user's, or one that
        the daemon may not read.
        """
        self._check(user, region)
        descriptor = _opened(self._directory / region.key.removeprefix("/"))
        try:
            self._check_file(os.fstat(descriptor), region, peer.uid)
            self._watch(peer.pid)
        except BaseException:
            os.close(descriptor)
            raise
        self._opened[user, region.name] = _Opened(region, descriptor, peer.pid)

    def unregister(self, user: Hashable, name: str | None = None) -> None:
        """Forget the region of this name, or all regions of the user; what is not registered is no error."""
        self._forget(key for key in self._opened if key[0] == user and name in {None, key[1]})

    def status(self, user: Hashable, name: str | None = None) -> list[dict[str, Any]]:
        """The region of this name, or all regions of the user, as they were registered. Raises `UnknownRegion`."""
        if name is not None:
            return [asdict(self._of(user, name).region)]
        return [asdict(opened.region) for (owner, _), opened in self._opened.items() if owner == user]

    def size_of(self, user: Hashable, request: wire.InferRequest) -> int:
        """How many bytes the request wants read from regions of the user.

        Raises `UnknownRegion`, `InvalidTensor`, and `RequestTooLarge` if they are too many.
        """
        places = [place for tensor in request.inputs if (place := _Slice.of(tensor)) is not None]
        for place in places:
            _check_inside(place, self._of(user, place.region).region)
        total = sum(place.byte_size for place in places)
        if total > self._most_bytes:
            raise RequestTooLarge(
                f"the request has more than {self._most_bytes} bytes in shared memory, a limit of the configuration: "
                "send a picture as its file, or make it smaller"
            )
        return total

    async def read(self, user: Hashable, request: wire.InferRequest) -> wire.InferRequest:
        """The request with the data of its tensors as they are in the regions now.

        Raises `UnknownRegion`, and `InvalidTensor` where the data does not fit the tensor.
        """
        return replace(request, inputs=[await self._read(user, tensor) for tensor in request.inputs])

    def close(self) -> None:
        """Forget all regions."""
        self._forget(self._opened)

    def _check(self, user: Hashable, region: Region) -> None:
        if not 0 < len(region.name) <= _NAME_LENGTH:
            raise InvalidRequest(f"the name of a region has 1 to {_NAME_LENGTH} characters")
        if (user, region.name) in self._opened:
            raise InvalidRequest(f"the region {region.name!r} is registered already: unregister it first")
        if not _KEY.fullmatch(region.key):
            raise InvalidRequest(f"key: {region.key[:80]!r} is not the name of a shared memory object, such as /frames")
        if region.byte_size < 1 or region.offset < 0:
            raise InvalidRequest("a region has 1 byte or more, from an offset of 0 or more")
        if region.byte_size > self._most_bytes:
            raise RequestTooLarge(f"a region has at most {self._most_bytes} bytes, as a request has")
        own = sum(owner == user for owner, _ in self._opened)
        if own >= MOST_REGIONS_EACH or len(self._opened) >= MOST_REGIONS:
            raise InvalidRequest(
                f"{own} regions of yours are registered; {MOST_REGIONS_EACH} is the most of one user, and "
                f"{MOST_REGIONS} of all: unregister those that you do not use"
            )

    def _check_file(self, found: os.stat_result, region: Region, uid: int) -> None:
        if not stat.S_ISREG(found.st_mode) or found.st_dev != self._directory.stat().st_dev:
            raise InvalidRequest(f"key: {region.key!r} is not a file in shared memory")
        if found.st_uid != uid:
            raise PermissionRefused(f"{region.key!r} belongs to another user (uid {found.st_uid}, and you are {uid})")
        if (end := region.offset + region.byte_size) > found.st_size:
            raise InvalidRequest(f"{region.key!r} has {found.st_size} bytes, and the region would end at {end}")

    def _of(self, user: Hashable, name: str) -> _Opened:
        opened = self._opened.get((user, name))
        if opened is None:
            raise UnknownRegion(f"you have no shared memory region {name[:80]!r}: register it (again)")
        return opened

    async def _read(self, user: Hashable, tensor: wire.Tensor) -> wire.Tensor:
        place = _Slice.of(tensor)
        if place is None:
            return tensor
        opened = self._of(user, place.region)
        _check_inside(place, opened.region)
        # Not a bytearray, which would be filled with zeros first.
        data = np.empty(place.byte_size, np.uint8).data
        start = opened.region.offset + place.offset
        if place.byte_size <= _AT_ONCE:
            came = _read_into(data, opened.descriptor, start)
        else:
            # The region may be unregistered meanwhile, and its descriptor may then be another file's.
            own = os.dup(opened.descriptor)
            came = await asyncio.shield(asyncio.to_thread(_read_and_close, data, own, start))
        if came < place.byte_size:
            raise InvalidTensor(f"the region {place.region[:80]!r} ends before the tensor {tensor.name[:80]!r} does")
        parameters = {key: value for key, value in tensor.parameters.items() if key not in wire.OF_REGIONS}
        read = wire.Tensor(tensor.name, tensor.datatype, tensor.shape, data=data, parameters=parameters)
        wire.check_length(read)
        return read

    def _forget(self, keys: Iterable[tuple[Hashable, str]]) -> None:
        for key in list(keys):
            os.close(self._opened.pop(key).descriptor)
        for pid in self._processes.keys() - {opened.pid for opened in self._opened.values()}:
            process = self._processes.pop(pid)
            self._loop.remove_reader(process)
            os.close(process)

    def _watch(self, pid: int) -> None:
        if pid in self._processes:
            return
        try:
            process = os.pidfd_open(pid)
        except OSError as error:
            raise InvalidRequest(
                f"collabd cannot see your process ({error.strerror}), so it would not know when a region is left over: "
                "send the data with the request"
            ) from error
        self._processes[pid] = process
        self._loop.add_reader(process, self._ended, pid)

    def _ended(self, pid: int) -> None:
        self._forget(key for key, opened in self._opened.items() if opened.pid == pid)


def _opened(path: Path) -> int:
    """A descriptor of the file. Raises `PermissionRefused`, `InvalidRequest`."""
    try:
        # NONBLOCK: a pipe would otherwise wait for its writer.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError as error:
        own = os.geteuid()
        raise PermissionRefused(
            f"collabd (uid {own}) may not read {path}: setfacl -m u:{own}:r {path}", {"uid": own}
        ) from error
    except OSError as error:
        raise InvalidRequest(f"key: cannot open {str(path)!r}: {error.strerror}") from error


def _check_inside(place: _Slice, region: Region) -> None:
    if place.offset + place.byte_size > region.byte_size:
        raise InvalidTensor(
            f"the region {region.name!r} has {region.byte_size} bytes, and the tensor would end at "
            f"{place.offset + place.byte_size}"
        )


def _read_into(data: memoryview, descriptor: int, start: int) -> int:
    """How many bytes there were; fewer than there is room for if the file ends before."""
    filled = os.preadv(descriptor, [data], start)
    while filled < len(data) and (came := os.preadv(descriptor, [data[filled:]], start + filled)):
        filled += came
    return filled


def _read_and_close(data: memoryview, descriptor: int, start: int) -> int:
    try:
        return _read_into(data, descriptor, start)
    finally:
        os.close(descriptor)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
