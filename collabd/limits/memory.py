"""How much memory this process may take."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from collabd.limits.cgroups import Group, own_groups

# With less, one network of 10 MB just fits, and nothing that calls can do without.
_SCARCE = 256 << 20


def memory_is_scarce() -> bool:
    """Whether there is no memory for a second graph of a network, or for audits."""
    return usable_memory() < _SCARCE


def usable_memory(*, machine: int | None = None, groups: Iterable[Group] | None = None) -> int:
    """The bytes of the machine, and no more than the limit of the memory cgroup that this process runs in.

    `machine`: the bytes that the machine has. `groups`: the memory cgroups around the process.
    """
    there = psutil.virtual_memory().total if machine is None else machine
    limits = (
        limit
        for group in (own_groups("memory") if groups is None else groups)
        for limit in group.numbers("memory.max" if group.second else "memory.limit_in_bytes")
    )
    return min([there, *limits])
