"""The memory is that of the machine, or what a cgroup leaves of it; sessions take a share of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.engine import session_bytes
from collabd.limits.memory import usable_memory
from tests.unit.limits.written_groups import groups_of

MACHINE = 4 << 30
V1 = "4:memory:/system.slice/collabd.service"
V2 = "0::/system.slice/collabd.service"


@pytest.mark.parametrize(
    ("own", "files", "usable"),
    [
        (V2, {}, MACHINE),
        (V2, {"system.slice/collabd.service/memory.max": "max\n"}, MACHINE),
        (V2, {"system.slice/collabd.service/memory.max": "167772160\n"}, 160 << 20),
        (V2, {"system.slice/memory.max": "268435456\n", "system.slice/collabd.service/memory.max": "max\n"}, 256 << 20),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        (V1, {"memory/system.slice/collabd.service/memory.limit_in_bytes": "167772160\n"}, 160 << 20),
    ],
)
def test_the_smallest_limit_around_the_process_counts(
    tmp_path: Path, own: str, files: dict[str, str], usable: int
) -> None:
    assert usable_memory(machine=MACHINE, groups=groups_of(tmp_path, "memory", own=own, files=files)) == usable


def test_without_a_limit_it_is_the_memory_of_the_machine() -> None:
    there = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) << 10
    assert usable_memory(groups=()) == there


def test_sessions_have_what_is_set_or_no_more_than_an_eighth_of_the_memory() -> None:
    assert session_bytes(7) == 7 << 20
    assert 0 < session_bytes(0) <= min(128 << 20, usable_memory() // 8)
