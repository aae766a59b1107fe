"""How many cores this process may use at once."""

from __future__ import annotations

import os
from collections.abc import Iterable

from collabd.limits.cgroups import Group, own_groups


def usable_cores(*, allowed: int | None = None, groups: Iterable[Group] | None = None) -> int:
    """The cores that the scheduler gives this process, and no more than the quota of its CPU cgroup pays for.

    More threads than that would use up the quota sooner and then stand still together. `allowed`: the cores by the
    process's affinity. `groups`: the CPU cgroups around it.
    """
    cores = len(os.sched_getaffinity(0)) if allowed is None else allowed
    quotas = map(_quota, own_groups("cpu") if groups is None else groups)
    return max(1, int(min([cores, *filter(None, quotas)])))


def _quota(group: Group) -> float | None:
    """The quota of a group, in cores."""
    if group.second:
        quota = group.numbers("cpu.max")
    else:
        quota = group.numbers("cpu.cfs_quota_us") + group.numbers("cpu.cfs_period_us")
    return quota[0] / quota[1] if len(quota) == 2 and quota[0] > 0 and quota[1] > 0 else None
