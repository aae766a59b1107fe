"""The honest device: everything of the device gets a fifth of one core, its Python too.

The calling program, the SDK and collabd run inside; the companion, the link and servers run outside. A fifth of an
x86-64 core stands for a Raspberry Pi, which is an assumption.

    with honest_device() as device:
        caller = device.start([sys.executable, "-m", "tests.bench.some_caller"], stdout=subprocess.PIPE)

`python -m tests.bench.device COMMAND...` runs one command so.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from collabd.simulation.slow_cpu import NoSlowCpu, SlowCpu

SHARE = 0.2
# From clock_getcpuclockid(3): which clock of a process, in the lowest bits of the clock's number.
_SCHEDULED = 2
# Of /proc/PID/stat, counted behind the name of the process, which may hold spaces.
_MINOR_FAULTS = 7


def honest_device(share: float = SHARE) -> SlowCpu:
    """Raises NoSlowCpu, on entering, where the machine permits no CPU cgroup."""
    return SlowCpu(share)


@dataclass(frozen=True)
class Spent:
    """What a process used, all its threads together: CPU seconds (user and system), and page faults without I/O."""

    cpu_s: float
    faults: int

    def __sub__(self, earlier: Spent) -> Spent:
        return Spent(self.cpu_s - earlier.cpu_s, self.faults - earlier.faults)

    def per(self, calls: int) -> str:
        """For a human: what each call used."""
        return f"{self.cpu_s / calls * 1e3:.2f} ms of CPU, {self.faults / calls:.1f} page faults"


def spent(pid: int) -> Spent:
    """What a process used since it started. Take it before and after some calls, and subtract.

    The CPU time is the scheduler's, to the nanosecond; /proc counts in steps of 10 ms.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Spent(time.clock_gettime(~pid << 3 | _SCHEDULED), int(fields[_MINOR_FAULTS]))


def main() -> None:
    try:
        with honest_device() as device:
            sys.exit(device.start(sys.argv[1:]).wait())
    except NoSlowCpu as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
