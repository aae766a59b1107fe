from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collabd.simulation.slow_cpu import NoSlowCpu, SlowCpu
from tests.bench.device import spent
from tests.patience import PATIENCE_S, until

# Computes for 0.2 s of CPU.
_COMPUTE = """
import time
while time.process_time() < 0.2:
    pass
"""


@pytest.fixture
def slow() -> SlowCpu:
    """A tenth of a core, not entered yet."""
    try:
        with SlowCpu(0.1):
            pass
    except NoSlowCpu as error:
        pytest.skip(str(error))
    return SlowCpu(0.1)


def test_what_runs_inside_is_held_back_in_each_period(slow: SlowCpu) -> None:
    with slow:
        slow.start([sys.executable, "-c", _COMPUTE]).wait(PATIENCE_S)
        stat = dict(line.split() for line in (slow.group / "cpu.stat").read_text().splitlines())

    # A millisecond in each period: 200 of them, unless the kernel gave some ahead.
    assert int(stat["nr_throttled"]) > 100


def test_a_command_enters_before_it_starts(slow: SlowCpu) -> None:
    with slow:
        process = slow.start(["cat", "/proc/self/cgroup"], stdout=subprocess.PIPE)
        inside = process.communicate(timeout=PATIENCE_S)[0].decode()

    assert "collabd-slow" in inside
    assert "collabd-slow" not in Path("/proc/self/cgroup").read_text()


def test_what_still_runs_at_the_end_is_killed_and_the_group_goes(slow: SlowCpu) -> None:
    with slow:
        process = slow.start(["sleep", "600"])
        until(lambda: bool(slow.pids()))
        group = slow.group

    assert process.wait(PATIENCE_S) < 0
    assert not group.exists()


def test_a_machine_without_the_controller_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(NoSlowCpu, match=r"no CPU cgroup can be made under .*needs root"), SlowCpu(0.2, root=tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []


def test_it_is_used_inside_its_block_only() -> None:
    with pytest.raises(RuntimeError, match="with block"):
        SlowCpu(0.2).command(["true"])


def test_the_cpu_time_and_the_faults_of_a_process_are_counted() -> None:
    before = spent(os.getpid())
    start = time.process_time()
    # Not from the heap, which may have as much from earlier tests.
    touched = mmap.mmap(-1, 4096 * 10_000)
    for place in range(0, len(touched), 4096):
        touched[place] = 1
    used = spent(os.getpid()) - before

    assert used.cpu_s == pytest.approx(time.process_time() - start, rel=0.2, abs=1e-3)
    assert used.faults > 0
    assert "ms of CPU" in used.per(10)
