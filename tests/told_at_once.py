"""Tells of a failure when it happens: a run that is killed from outside never comes to its list of failures."""

from __future__ import annotations

import pytest


class ToldAtOnce:
    """A plugin of pytest, for the process that prints."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of the tests of all processes."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(
                f"{report.nodeid} failed ({report.when}): {report.longreprtext.splitlines()[-1]}", red=True
            )
