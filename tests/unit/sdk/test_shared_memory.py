"""Which calls use a region, which regions are used again, and what happens where there are none."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from collab_sdk import MockTransport, wire
from collab_sdk._shared_memory import DIRECTORY, LEAST_BYTES, MOST_REGIONS, LentRegion, Regions, _let_read
from collab_sdk._template import template_of
from collab_sdk.errors import DaemonUnavailable, DeadlineExceeded, InvalidRequest, PermissionRefused
from collab_sdk.transport import DaemonReply, DaemonRequest
from tests.served import refusal

SIZE = LEAST_BYTES


class Registrar(MockTransport):
    """Takes all regions, and knows what it could read of each when it was registered."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.refusal: DaemonReply | None = None
        self.known: list[str] = []

    def _take(self, request: DaemonRequest) -> DaemonReply:
        *_, name, what = request.url.split("/")
        if self.refusal is not None:
            return self.refusal
        if what == "register":
            asked = json.loads(request.message.body())
            assert (DIRECTORY / asked["key"][1:]).stat().st_size == asked["byte_size"]
            self.known.append(name)
        else:
            self.known.remove(name)
        return DaemonReply(200, b"{}")


@pytest.fixture
def registrar() -> Registrar:
    return Registrar()


@pytest.fixture
def regions(registrar: Registrar) -> Regions:
    return Regions(registrar)


def lent(regions: Regions, size: int = SIZE) -> LentRegion:
    region = regions.lend(size, 1.0)
    assert region is not None
    return region


def test_small_tensors_go_over_the_socket(regions: Regions, registrar: Registrar) -> None:
    assert regions.lend(LEAST_BYTES - 1, 1.0) is None
    assert registrar.requests == []


def test_a_region_is_used_again_but_by_one_call_at_a_time(regions: Regions, registrar: Registrar) -> None:
    first, second = lent(regions), lent(regions)
    assert first is not second
    regions.give_back(first)
    assert lent(regions, SIZE) is first
    assert registrar.known == [first.name, second.name]


def test_a_tensor_says_where_it_is(regions: Regions) -> None:
    frame = np.full((260, 260, 3), 7, np.uint8)
    region = lent(regions, frame.nbytes)
    template = template_of(frame.shape, frame.dtype, "bgr", model=None, budget=None)

    region.hold([frame[:200].reshape(-1).data, frame[200:].reshape(-1).data])
    request = template.request((), frame.nbytes, region=region.name, caller_ms=None)

    (got,) = wire.decode_request(request.message.body(), None, shared=True).inputs
    assert (got.shape, len(got.data)) == (frame.shape, 0)
    assert got.parameters == {
        "channels": "bgr",
        "shared_memory_region": region.name,
        "shared_memory_byte_size": frame.nbytes,
    }
    assert bytes(region._view) == frame.tobytes()


def test_no_more_than_so_many_are_made_and_the_oldest_makes_room(regions: Regions, registrar: Registrar) -> None:
    made = [lent(regions) for _ in range(MOST_REGIONS)]
    assert regions.lend(SIZE, 1.0) is None
    for region in made:
        regions.give_back(region)

    larger = lent(regions, 2 * SIZE)

    assert registrar.known == [*(region.name for region in made[1:]), larger.name]


def test_a_region_whose_call_had_no_answer_is_not_used_again(regions: Regions, registrar: Registrar) -> None:
    unanswered = lent(regions)
    regions.retire(unanswered)
    assert lent(regions) is not unanswered
    assert unanswered.name not in registrar.known


def test_after_a_restart_all_are_made_anew(regions: Regions, registrar: Registrar) -> None:
    first, second = lent(regions), lent(regions)
    regions.give_back(second)
    regions.lost()
    registrar.known.clear()
    assert lent(regions) not in {first, second}
    assert len(registrar.known) == 1


def test_closing_gives_all_back(regions: Regions, registrar: Registrar) -> None:
    free, used = lent(regions), lent(regions)
    regions.give_back(free)
    regions.close()
    assert registrar.known == [used.name]
    regions.give_back(used)
    assert registrar.known == []
    assert regions.lend(SIZE, 1.0) is None


def test_a_fork_does_not_write_into_its_parents_regions(regions: Regions, registrar: Registrar) -> None:
    parents = lent(regions)
    regions.give_back(parents)
    regions._owner = -1
    assert lent(regions) is not parents
    regions._owner = -1
    regions.close()
    assert parents.name in registrar.known


def test_a_daemon_that_refuses_is_left_alone_for_a_while(regions: Regions, registrar: Registrar) -> None:
    registrar.refusal = refusal(InvalidRequest("no more regions"))
    assert [regions.lend(SIZE, 1.0) for _ in range(3)] == [None] * 3
    assert len(registrar.requests) == 1


def test_a_region_that_was_registered_too_late_is_unregistered(registrar: Registrar) -> None:
    def late(request: DaemonRequest) -> DaemonReply:
        reply = registrar.send(request, timeout_s=1)
        if len(registrar.requests) == 1:
            raise DeadlineExceeded("late")
        return reply

    regions = Regions(MockTransport(late))
    assert regions.lend(SIZE, 1.0) is None
    assert len(registrar.known) == 1
    regions.close()
    assert registrar.known == []


def test_nobody_there_is_no_error(regions: Regions) -> None:
    def nobody(_: DaemonRequest) -> DaemonReply:
        raise DaemonUnavailable("nobody")

    away = Regions(MockTransport(nobody))
    assert away.lend(SIZE, 1.0) is None
    away.close()


def test_without_shared_memory_the_socket_serves(registrar: Registrar, tmp_path: Path) -> None:
    assert Regions(registrar, tmp_path / "none").lend(SIZE, 1.0) is None
    assert Regions(registrar).lend(2**50, 1.0) is None
    assert registrar.requests == []


def test_nothing_is_left_in_the_file_system(regions: Regions, registrar: Registrar) -> None:
    lent(regions)
    registrar.refusal = refusal(InvalidRequest("no more regions"))
    regions.lend(2 * SIZE, 1.0)
    assert [*DIRECTORY.glob(f"collab-{os.getpid()}-*")] == []


def test_a_daemon_of_another_user_is_let_read_and_nobody_else(registrar: Registrar) -> None:
    descriptors = []

    def register(request: DaemonRequest) -> DaemonReply:
        path = DIRECTORY / json.loads(request.message.body())["key"][1:]
        descriptors.append((oct(path.stat().st_mode & 0o777), os.listxattr(path)))
        if len(descriptors) == 1:
            return refusal(PermissionRefused("collabd may not read it", {"uid": 65533}))
        return DaemonReply(200, b"{}")

    assert Regions(MockTransport(register)).lend(SIZE, 1.0) is not None
    # With an access list, the bits of the group are its mask: what more users may do at most.
    assert descriptors == [("0o600", []), ("0o640", ["system.posix_acl_access"])]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_the_access_list_lets_one_user_in() -> None:
    path = DIRECTORY / f"collab-test-{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        _let_read(descriptor, 65533)
        readers = []
        for uid in (65533, 65532):
            os.seteuid(uid)
            with suppress(PermissionError):
                os.close(os.open(path, os.O_RDONLY))
                readers.append(uid)
            with pytest.raises(PermissionError):
                os.open(path, os.O_RDWR)
            os.seteuid(0)
    finally:
        os.seteuid(0)
        os.close(descriptor)
        path.unlink()
    assert readers == [65533]
