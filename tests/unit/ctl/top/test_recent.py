"""What some reports say together."""

from __future__ import annotations

import pytest

from collabd.ctl.top.recent import ALL_CALLS, Recent, stream_key
from tests.unit.ctl.top.busy import a_report, a_stream


def test_values_are_kept_in_the_order_in_which_they_came() -> None:
    recent = Recent()
    for second, celsius in enumerate((60.0, None, 62.0)):
        report = a_report()
        report["device"]["temperature_c"] = celsius
        recent.add(report, second)
    assert list(recent.series("temperature")) == [60.0, None, 62.0]
    assert list(recent.series("up", "desktop")) == [21.5] * 3
    assert list(recent.series("up", "nobody")) == []


def test_calls_a_second_are_those_of_the_last_ten_reports() -> None:
    recent = Recent()
    for second in range(30):
        report = a_report(streams=[a_stream(calls=100 if second < 20 else 100 + 2 * (second - 20))])
        report["requests"]["total"] = 3 * second
        recent.add(report, float(second))
    assert recent.rate(ALL_CALLS) == pytest.approx(3.0)
    assert recent.rate(stream_key(a_stream())) == pytest.approx(2.0)


def test_a_rate_needs_two_reports() -> None:
    recent = Recent()
    recent.add(a_report(), 0.0)
    assert recent.rate(ALL_CALLS) is None
    assert recent.rate(("nobody", "")) is None


def test_a_stream_that_nobody_calls_has_gaps() -> None:
    recent = Recent()
    for second, age_s in enumerate((0.2, 1.2, 2.2)):
        recent.add(a_report(streams=[a_stream(age_s=age_s)]), second)
    assert list(recent.took(a_stream())) == [41.5, 41.5, None]


def test_changes_of_plans_are_told_the_newest_first() -> None:
    recent = Recent()
    for second, codec in enumerate(("q8", "q8", "q4", "f16")):
        recent.add(a_report(streams=[a_stream(codec=codec)]), second)
    assert [(change.at, change.before["codec"], change.after["codec"]) for change in recent.changes] == [
        (3, "q4", "f16"),
        (2, "q8", "q4"),
    ]


def test_an_answer_that_ran_nothing_changes_no_plan() -> None:
    recent = Recent()
    inherited = a_stream(kind="inherited", cut="inherit", placement="", cloud=None)
    for second, stream in enumerate((a_stream(), inherited, a_stream(), a_stream(codec="q4"))):
        recent.add(a_report(streams=[stream]), second)
    assert [change.at for change in recent.changes] == [3]


def test_what_is_gone_is_forgotten() -> None:
    recent = Recent()
    recent.add(a_report(), 0.0)
    recent.add(a_report(streams=[], clouds=[]), 1.0)
    assert list(recent.series("up", "desktop")) == []
    assert list(recent.took(a_stream())) == []
    assert recent.rate(stream_key(a_stream())) is None
    # What it comes back with is compared with nothing.
    recent.add(a_report(streams=[a_stream(codec="q4")]), 2.0)
    assert list(recent.changes) == []


def test_a_daemon_that_was_restarted_begins_anew() -> None:
    recent = Recent()
    for second in range(3):
        recent.add(a_report(), second)
    recent.add(a_report(pid=813), 3.0)
    assert recent.rate(ALL_CALLS) is None
    assert len(recent.series("cpu")) == 1
