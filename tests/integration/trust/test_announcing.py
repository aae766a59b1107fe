"""Daemons that are to announce themselves or to look, where the package for that is missing: said at the start."""

from __future__ import annotations

import logging
import sys

import pytest

from tests.integration.trust.conftest import Machines, is_of_use, until
from tests.integration.trust.test_pair import local

LACKED = "needs the package zeroconf: pip install 'collabd[find]'"


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)


async def test_without_the_package_both_say_so_and_work(machines: Machines, caplog: pytest.LogCaptureFixture) -> None:
    machines.pair("--announce")
    assert "follow = true" in (machines.device / "collabd.toml").read_text()
    with caplog.at_level(logging.ERROR):
        async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, _):
            assert (await until(client, is_of_use))["found_at"] is None
    assert [each.message for each in caplog.records] == [
        f"not announced: [server] announce {LACKED}",
        f"pc is not looked for when it is lost: follow {LACKED}",
    ]
