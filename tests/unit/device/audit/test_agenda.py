"""Which rows are audited."""

from __future__ import annotations

from collections.abc import Mapping

from collabd.device.audit.agenda import Agenda
from collabd.device.fidelity.figures import Fidelities
from collabd.device.fidelity.question import RowQuestion
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.tally import Evidence

ROWS = [Row(cut, codec) for cut in ("image", "pool1", "pool2") for codec in ("f16", "q4", "q8")]
NOTHING = Evidence(agreed=0, here=0, packaged=0)


def believed(known: Mapping[Row, Evidence] | None = None) -> Fidelities:
    return Fidelities(dict.fromkeys(ROWS, NOTHING) | dict(known or {}))


def test_in_turn_all_rows_come() -> None:
    agenda = Agenda(ROWS)
    assert [row for _ in ROWS for row in agenda.rows([], believed())] == sorted(ROWS)


def test_what_is_in_question_comes_with_every_picture_the_most_important_first() -> None:
    agenda, asked = Agenda(ROWS), [ROWS[8], ROWS[2], ROWS[5], ROWS[8], ROWS[4], ROWS[0]]
    for _ in range(4):
        rows = agenda.rows([RowQuestion(row, 0.99) for row in asked], believed())
        assert rows[:3] == [ROWS[8], ROWS[2], ROWS[5]]
        assert len(rows) == len(set(rows)) == 4


def test_what_is_inconceivable_waits_for_its_turn() -> None:
    hopeless = believed({ROWS[8]: Evidence(agreed=80, here=100, packaged=0)})
    assert ROWS[8] not in Agenda(ROWS).rows([RowQuestion(ROWS[8], 0.99)], hopeless)
    assert ROWS[8] in Agenda(ROWS).rows([RowQuestion(ROWS[8], 0.8)], hopeless)
    unlucky = believed({ROWS[8]: Evidence(agreed=2, here=4, packaged=0)})
    assert ROWS[8] in Agenda(ROWS).rows([RowQuestion(ROWS[8], 0.99)], unlucky)


def test_lossless_plans_are_no_question() -> None:
    assert Row("image", "u8") not in Agenda(ROWS).rows([RowQuestion(Row("image", "u8"), 0.99)], believed())


def test_a_package_without_lossy_rows_has_none_to_audit() -> None:
    assert Agenda([]).rows([RowQuestion(ROWS[0], 0.9)], Fidelities({})) == []
