"""Runs pytest with the same arguments. A few tests that fail get a second try, one by one in a process of their own.

Thousands of tests run real daemons side by side, on machines that stand still for seconds now and then. A test that
fails for that passes when it is alone; one that fails for a mistake fails again. So the run has failed if one of them
fails twice, if more than a few fail, if a process died, or if anything else was wrong. Who needed a second try is told
at the end: it waits too briefly, or there is a race in it or in what it tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

# More are no accident.
MOST = 5
_PHASES = ("setup", "call", "teardown")


class Failures:
    """A plugin of pytest, for the process that prints: which tests failed, and why in one line."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}
        # A process died, a file could not be imported, or tests were skipped that have to run.
        self.other = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of the tests of all processes."""
        if report.failed:
            self.by_test.setdefault(report.nodeid, _why(report))
            self.other |= report.when not in _PHASES
        self.other |= report.skipped and os.environ.get("SYSTEM_TESTS") == "required"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Of each file."""
        self.other |= report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Of each process that ends."""
        del node
        self.other |= error is not None

    @property
    def may_be_tried_again(self) -> bool:
        """Whether they can be accidents."""
        return 0 < len(self.by_test) <= MOST and not self.other


def main(arguments: Sequence[str]) -> int:
    """The exit status of pytest, or 0 if all that failed passed in the second try."""
    failures = Failures()
    status = pytest.main([*arguments], plugins=[failures])
    if status != pytest.ExitCode.TESTS_FAILED or not failures.may_be_tried_again:
        return int(status)
    print(f"\n{len(failures.by_test)} failed, and have a second try on their own:", flush=True)
    again = {test: _passes(test, arguments) for test in failures.by_test}
    print("\nsecond try:")
    for test, why in failures.by_test.items():
        print(f"  {'passed' if again[test] else 'FAILED AGAIN'}: {test}\n    the first time: {why}")
    return int(pytest.ExitCode.OK if all(again.values()) else pytest.ExitCode.TESTS_FAILED)


def _why(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return (report.longreprtext if crash is None else str(crash.message)).splitlines()[0]


def _passes(test: str, arguments: Sequence[str]) -> bool:
    coverage = [each for each in arguments if each.startswith("--cov")]
    command = [sys.executable, "-m", "pytest", test, *coverage, *(["--cov-append"] if coverage else [])]
    return subprocess.run(command, check=False).returncode == pytest.ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
