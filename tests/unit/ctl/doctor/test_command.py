"""`collabctl doctor` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from collabd.ctl.__main__ import main
from collabd.ctl.doctor import tell
from collabd.ctl.doctor.finding import Finding, Severity, report

FINDINGS = [
    Finding("machine", "ok", "aarch64"),
    Finding("memory-limit", "note", "no memory controller", advice="Add cgroup_enable=memory"),
    Finding("companion", "not-measured", "it was not looked at"),
]


def said(findings: list[Finding], *, as_json: bool = False) -> tuple[int, str]:
    @click.command
    def command() -> None:
        tell(report(["collabd"], findings), as_json=as_json)

    ran = CliRunner().invoke(command)
    return ran.exit_code, ran.stdout


def test_the_table_and_json_are_one_report() -> None:
    status, text = said(FINDINGS)
    _, data = said(FINDINGS, as_json=True)
    assert status == 0
    for finding in json.loads(data)["findings"]:
        assert finding["title"] in text
        assert finding["advice"] in text
    assert "1 ok, 1 note, 1 not-measured" in text


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_a_terminal_is_never_too_narrow(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    url = "https://inference-companion-07.machine-room.campus.example.org:8470"
    finding = Finding(
        "companion-packages", "not-measured", f"nobody answers at {url}", advice=f"Look whether {url} is right"
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    _, text = said([finding])
    assert max(map(len, text.splitlines())) <= columns
    assert text.count(url) == 2


@pytest.mark.parametrize(
    ("severity", "status"), [("ok", 0), ("note", 0), ("not-measured", 0), ("warning", 0), ("error", 1)]
)
def test_only_errors_fail(severity: Severity, status: int) -> None:
    finding = Finding("machine", severity, "said", advice="Do that")
    assert said([finding], as_json=True)[0] == status


def test_without_a_daemon_it_works_and_says_so(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["doctor", "--json", "--socket", str(tmp_path / "none")])
    codes = [finding["code"] for finding in json.loads(ran.stdout)["findings"] if finding["severity"] == "error"]
    assert ran.exit_code == 1
    assert "socket" in codes or "service" in codes
    assert "daemon" not in codes
