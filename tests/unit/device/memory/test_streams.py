"""The memories of streams: by owner, name and model, and never too many."""

from __future__ import annotations

from collabd.device.memory.streams import Streams


def test_a_stream_is_its_owners() -> None:
    streams = Streams()
    mine = streams.of(1000, "door", "sha256:1")
    assert streams.of(1000, "door", "sha256:1") is mine
    assert streams.of(1001, "door", "sha256:1") is not mine
    assert streams.of(1000, "garden", "sha256:1") is not mine
    assert streams.of(1000, "door", "sha256:2") is not mine
    assert len(streams) == 4


def test_an_owner_with_many_forgets_the_one_that_was_silent_longest() -> None:
    streams = Streams()
    other = streams.of("other", "door", "")
    first, second = streams.of("me", "0", ""), streams.of("me", "1", "")
    for name in range(2, 8):
        streams.of("me", str(name), "")
    assert streams.of("me", "0", "") is first
    streams.of("me", "8", "")
    assert streams.of("me", "0", "") is first
    assert streams.of("me", "1", "") is not second
    assert streams.of("other", "door", "") is other
    assert len(streams) == 9


def test_there_is_room_for_so_many_in_all() -> None:
    streams = Streams()
    first = streams.of(0, "door", "")
    for owner in range(1, 100):
        streams.of(owner, "door", "")
    assert len(streams) == 32
    assert streams.of(0, "door", "") is not first
