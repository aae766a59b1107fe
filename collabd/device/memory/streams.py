"""The memories of all streams. They are bounded: who was silent longest is forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from collabd.device.memory.stream import Stream

_MOST = 32
_MOST_OF_OWNER = 8


class _Key(NamedTuple):
    owner: Hashable
    name: str
    digest: str


class Streams:
    """The streams of every owner, by name and by the digest of the model that answers them."""

    def __init__(self) -> None:
        # Silent longest first.
        self._streams: OrderedDict[_Key, Stream] = OrderedDict()

    def of(self, owner: Hashable, name: str, digest: str) -> Stream:
        """The memory of a stream, which may be new. The names of one owner are not those of another."""
        key = _Key(owner, name, digest)
        stream = self._streams.get(key)
        if stream is None:
            self._make_room(owner)
            stream = self._streams[key] = Stream()
        self._streams.move_to_end(key)
        return stream

    def __len__(self) -> int:
        return len(self._streams)

    def _make_room(self, owner: Hashable) -> None:
        mine = [key for key in self._streams if key.owner == owner]
        if len(mine) >= _MOST_OF_OWNER:
            del self._streams[mine[0]]
        elif len(self._streams) >= _MOST:
            self._streams.popitem(last=False)
