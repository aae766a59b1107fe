"""A quota of the kernel bounds the cores, in either version of cgroups; what cannot be read does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collabd.limits.cgroups import own_groups
from collabd.limits.cores import usable_cores
from tests.unit.limits.written_groups import groups_of

V1 = "4:cpu,cpuacct:/system.slice/collabd.service"
V2 = "0::/system.slice/collabd.service"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        (V2, {}, 4),
        (V2, {"system.slice/collabd.service/cpu.max": "max 100000\n"}, 4),
        (V2, {"system.slice/collabd.service/cpu.max": "20000 100000\n"}, 1),
        (V2, {"system.slice/collabd.service/cpu.max": "250000 100000\n"}, 2),
        (V2, {"system.slice/collabd.service/cpu.max": "900000 100000\n"}, 4),
        # The limit of a slice holds for all that is in it; in a container the own path may not be there.
        (V2, {"system.slice/cpu.max": "100000 100000\n"}, 1),
        (V2, {"cpu.max": "200000 100000\n"}, 2),
        (V2, {"cpu.max": "nonsense\n"}, 4),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        (
            f"3:memory:/\n{V1}\n0::/",
            {
                "cpu/system.slice/collabd.service/cpu.cfs_quota_us": "1000\n",
                "cpu/system.slice/collabd.service/cpu.cfs_period_us": "5000\n",
            },
            1,
        ),
    ],
)
def test_the_quota_bounds_the_cores(tmp_path: Path, own: str, files: dict[str, str], cores: int) -> None:
    groups = groups_of(tmp_path, "cpu", own=own, files=files)
    assert usable_cores(allowed=4, groups=groups) == cores


def test_without_cgroups_the_affinity_alone_counts(tmp_path: Path) -> None:
    there = usable_cores(groups=own_groups("cpu", mounted=tmp_path, own=tmp_path / "own"))
    assert there == len(os.sched_getaffinity(0))
