"""The findings of the checks, and which of them to report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypedDict

Severity = Literal["ok", "note", "warning", "error", "not-measured"]
TROUBLE: tuple[Severity, ...] = ("warning", "error")


@dataclass(frozen=True)
class Finding:
    """`code` names the thing that was checked and stays the same in every version; `advice` says what to do.

    `unless`: codes of possible causes. If one of them has a fault, this finding only follows from it and is left out.
    """

    code: str
    severity: Severity
    title: str
    _: KW_ONLY
    advice: str = ""
    unless: tuple[str, ...] = ()


class FindingReport(TypedDict):
    """A finding as it is printed."""

    code: str
    severity: Severity
    title: str
    advice: str


class DoctorReport(TypedDict):
    """All findings, in the order of the checks. `roles`: which daemons are installed here."""

    roles: list[str]
    findings: list[FindingReport]


def relevant(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without those that only follow from another one."""
    found = list(findings)
    trouble = {finding.code for finding in found if finding.severity in TROUBLE}
    return [finding for finding in found if finding.severity == "ok" or not trouble & set(finding.unless)]


def report(roles: Iterable[str], findings: Iterable[Finding]) -> DoctorReport:
    """The report of findings."""
    return DoctorReport(
        roles=list(roles),
        findings=[
            FindingReport(code=found.code, severity=found.severity, title=found.title, advice=found.advice)
            for found in findings
        ],
    )
