"""`make fuzz`: every target for its share of the executions, two at a time, and a table of what really happened."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS, Target

WORK = Path("build/fuzz")
LIMITS = ("-timeout=20", "-rss_limit_mb=3072", "-print_final_stats=1")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")
_BROKEN = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True)
class Outcome:
    """What libFuzzer said of one target; None: it did not say."""

    target: Target
    executed: int | None
    covered: tuple[int, int] | None
    broken: list[str]
    status: int
    seconds: float

    @property
    def is_sound(self) -> bool:
        """Whether it ran to its end and found nothing."""
        return self.status == 0 and not self.broken and self.executed is not None


def fuzz(target: Target, runs: int, seed: int) -> Outcome:
    """Run one target for about so many executions."""
    home = WORK / target.name
    home.mkdir(parents=True, exist_ok=True)
    options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={target.max_len}", f"-artifact_prefix={home}/", *LIMITS]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch, (home / "log").open("w+", errors="replace") as log:
        command = [sys.executable, "-m", "tests.fuzz.one", target.name, str(home), *options]
        environment = os.environ | {"TMPDIR": scratch, "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, stdout=log, stderr=log, check=False, env=environment).returncode
        log.seek(0)
        text = log.read()
    return Outcome(
        target,
        _number(_EXECUTED, text),
        next((tuple(map(int, found)) for found in reversed(_COVERED.findall(text))), None),  # type: ignore[arg-type]
        _BROKEN.findall(text),
        status,
        time.monotonic() - start,
    )


def table(outcomes: list[Outcome]) -> str:
    """One line a target, and the sum."""
    titles = ("executions", "exec/s", "edges", "features", "seconds", "crashes")
    lines = [f"{'target':12}" + "".join(f"{title:>11}" for title in titles)]
    for each in outcomes:
        edges, features = each.covered or ("?", "?")
        rate = "?" if each.executed is None else f"{each.executed / each.seconds:.0f}"
        crashes = len(each.broken) if each.broken or each.is_sound else f"exit {each.status}"
        row = (each.executed, rate, edges, features, f"{each.seconds:.0f}", crashes)
        lines.append(f"{each.target.name:12}" + "".join(f"{'?' if cell is None else cell:>11}" for cell in row))
    total, broken = sum(each.executed or 0 for each in outcomes), sum(not each.is_sound for each in outcomes)
    lines.append(f"{'all':12}{total:>11}{broken:>55}")
    return "\n".join(lines)


def main() -> int:
    """Exit status 1 if any target crashed, hung, ran out of memory or did not run."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1_100_000, help="executions of all targets together")
    arguments.add_argument("--jobs", type=int, default=2, help="targets at a time")
    arguments.add_argument("--seed", type=int, default=0, help="libFuzzer's; 0: another each time")
    arguments.add_argument("--only", action="append", metavar="TARGET", help="these targets alone")
    asked = arguments.parse_args()
    chosen = [target for target in TARGETS if not asked.only or target.name in asked.only]
    shares = sum(target.share for target in chosen)
    with ThreadPoolExecutor(asked.jobs) as pool:
        outcomes = list(pool.map(lambda each: fuzz(each, asked.runs * each.share // shares, asked.seed), chosen))
    print(table(outcomes))
    for each in outcomes:
        if not each.is_sound:
            print(f"{each.target.name}: see {WORK / each.target.name}/log", *each.broken)
    return 0 if all(each.is_sound for each in outcomes) else 1


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found[1]) if found else None


def _memory() -> Path | None:
    memory = Path("/dev/shm")  # noqa: S108  the directory is made there under a fresh name
    return memory if os.access(memory, os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
