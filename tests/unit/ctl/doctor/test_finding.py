"""What is worth saying."""

from __future__ import annotations

from collabd.ctl.doctor.finding import Finding, Severity, relevant

COMPANION = Finding("companion", "error", "it does not answer", unless=("daemon",))


def test_what_only_follows_is_left_out() -> None:
    daemon = Finding("daemon", "error", "it does not answer")
    assert relevant([daemon, COMPANION]) == [daemon]


def test_the_cause_may_come_later() -> None:
    daemon = Finding("daemon", "warning", "it is old")
    assert relevant([COMPANION, daemon]) == [daemon]


def test_without_the_cause_it_is_said() -> None:
    daemon = Finding("daemon", "ok", "it answers")
    assert relevant([daemon, COMPANION]) == [daemon, COMPANION]


def test_a_cause_that_was_not_measured_or_is_a_mere_note_is_none() -> None:
    severities: tuple[Severity, ...] = ("note", "not-measured")
    for severity in severities:
        unclear = Finding("daemon", severity, "who knows")
        assert relevant([unclear, COMPANION]) == [unclear, COMPANION]


def test_what_is_well_is_said_in_any_case() -> None:
    well = Finding("companion", "ok", "it answers", unless=("daemon",))
    assert well in relevant([Finding("daemon", "error", "gone"), well])
