"""The tables of the documentation, over the tiny package."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from click.testing import CliRunner

from collabd.catalog.package.package import Package
from collabd.profiling.profile import Profile
from collabd.simulation.compare import POLICIES
from collabd.simulation.table import main


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_two_tables_with_a_row_a_trace(tiny_package: Package, tiny_profile: Profile, tmp_path: Path) -> None:
    traces, profiles = tmp_path / "traces", tmp_path / "profiles"
    traces.mkdir()
    profiles.mkdir()
    (traces / "README.md").write_text("no trace\n")
    for name, kbps in (("fast", 8000), ("slow", 20)):
        (traces / f"{name}.json").write_text(json.dumps([{"duration_ms": 5000, "bandwidth_kbps": kbps}]))
    (profiles / f"{tiny_package.manifest.name}.json").write_bytes(msgspec.json.encode(tiny_profile))
    arguments = [str(tiny_package.path), "--traces", str(traces), "--profiles", str(profiles), "--min-fidelity", "0"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    latencies, spendings = (table.splitlines() for table in result.output.strip().split("\n\n"))
    for table in (latencies, spendings):
        assert {len(cells(line)) for line in table} == {len(cells(table[0]))}
        assert [cells(line)[1] for line in table[2:]] == ["fast", "slow"]
    assert cells(latencies[0])[2:11] == list(POLICIES)
    fast, slow = (dict(zip(cells(latencies[0]), cells(line), strict=True)) for line in latencies[2:])
    assert float(fast["collabd"]) < float(fast["local"])
    assert float(slow["collabd"]) < 1.2 * float(slow["local"])
    assert dict(zip(cells(spendings[0]), cells(spendings[2]), strict=True))["hedged"].endswith("%")
