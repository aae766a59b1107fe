"""How many cores this process may use at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores(*, allowed: int | None = None, cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """The cores that the scheduler gives this process, and no more than the quota of its CPU cgroup pays for.

    More threads than that would use up the quota sooner and then stand still together. `allowed`: the cores by the
    process's affinity. `cgroups`: where cgroups are mounted. `own`: the file that names those of this process.
    """
    cores = len(os.sched_getaffinity(0)) if allowed is None else allowed
    return max(1, int(min([cores, *_quotas(cgroups, own)])))


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """The quotas of this process's cgroups and of those around them, in cores."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        second = not controllers
        if not second and "cpu" not in controllers.split(","):
            continue
        root = cgroups if second else cgroups / "cpu"
        group = root / path.lstrip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(root):
                break
            quota = _numbers(place / "cpu.max") if second else _quota_v1(place)
            if len(quota) == 2 and quota[0] > 0 and quota[1] > 0:
                yield quota[0] / quota[1]


def _quota_v1(group: Path) -> list[int]:
    return _numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us")


def _numbers(path: Path) -> list[int]:
    """The numbers in a file; none if there is no such file, or no limit in it ("max")."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []
