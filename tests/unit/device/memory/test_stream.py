"""What a stream's memory offers: never what is old, unsure or different, and what audits have shown to be worth it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collabd.device.memory.difference import Blocks
from collabd.device.memory.stream import LADDER, AnsweredPicture, Heirloom, Sight, Stream

SIZE = (640, 480)
OUTPUTS = {"logits": np.zeros((1, 3), np.float32)}


def blocks(level: float = 100.0) -> Blocks:
    return np.full((2, 2, 3), round(level * 16), np.int16)


def answered(
    at: float = 0.0, level: float = 100.0, *, sure: bool = True, shows: bool = True, fidelity: float = 1.0
) -> AnsweredPicture:
    return AnsweredPicture(
        at=at, blocks=blocks(level), size=SIZE, outputs=OUTPUTS, fidelity=fidelity, sure=sure, shows=shows
    )


def see(stream: Stream, level: float = 100.0, at: float = 1.0, least: float = 0.99) -> Sight:
    return stream.see(blocks(level), SIZE, at=at, most_age_s=60.0, least_fidelity=least)


def heirloom(sight: Sight) -> Heirloom:
    assert sight.heirloom is not None
    return sight.heirloom


@pytest.fixture
def stream() -> Stream:
    stream = Stream()
    stream.answer(answered(), costs_a_look=False)
    return stream


def earn(stream: Stream, audits: int, level: float = 100.0, share: float = 1.0) -> None:
    for _ in range(audits):
        stream.count(heirloom(see(stream, level)), share)


def test_a_new_stream_has_nothing_to_offer() -> None:
    sight = see(Stream())
    assert (sight.differs, sight.heirloom, sight.audited) == (None, None, False)


@pytest.mark.parametrize(
    ("differs", "rung"), [(0, 2), (1.9, 2), (2, 4), (3.9, 4), (4, 8), (7.9, 8), (8, None), (90, None)]
)
def test_each_rung_of_the_ladder_is_a_row_of_its_own(stream: Stream, differs: float, rung: int | None) -> None:
    sight = see(stream, 100 - differs)
    assert sight.differs == pytest.approx(differs, abs=1 / 16)
    assert (sight.heirloom and sight.heirloom.rung) == rung


def test_only_what_is_fresh_and_sure_is_offered(stream: Stream) -> None:
    assert heirloom(see(stream, at=60.0)).age_s == 60.0
    assert see(stream, at=60.1).heirloom is None
    # A call that arrived before the one that was answered.
    assert see(stream, at=-1.0).heirloom is None
    assert stream.see(blocks(), (480, 640), at=1.0, most_age_s=60.0, least_fidelity=0.0).heirloom is None
    stream.answer(answered(2.0, sure=False), costs_a_look=False)
    assert see(stream, at=3.0).heirloom is None


def test_a_late_answer_does_not_replace_a_newer_one(stream: Stream) -> None:
    stream.answer(answered(5.0, level=120), costs_a_look=False)
    stream.answer(answered(4.0, level=100), costs_a_look=False)
    assert see(stream, 120, at=6.0).differs == 0


def test_audits_earn_a_row_and_take_it_back(stream: Stream) -> None:
    assert heirloom(see(stream)).fidelity == 0
    earn(stream, 98)
    assert heirloom(see(stream)).fidelity < 0.99
    earn(stream, 10)
    assert heirloom(see(stream)).fidelity >= 0.99
    # The other rungs have earned nothing.
    assert heirloom(see(stream, 103)).fidelity == 0
    earn(stream, 1, share=0.0)
    assert heirloom(see(stream)).fidelity < 0.99


def test_a_lossy_answer_is_worth_less(stream: Stream) -> None:
    earn(stream, 999)
    stream.answer(answered(fidelity=0.995), costs_a_look=False)
    assert heirloom(see(stream)).fidelity == pytest.approx(stream.fidelity(LADDER[0], shows=True) - 0.005)


def test_exact_answers_are_wanted_to_compare_with_and_to_inherit(stream: Stream) -> None:
    assert see(stream).wants_exact
    assert not see(stream, 20).wants_exact
    earn(stream, 200)
    assert not see(stream).wants_exact
    # If the last answer had been exact, it would do.
    stream.answer(answered(fidelity=0.992), costs_a_look=False)
    assert see(stream).wants_exact
    # Nothing will make this row suffice soon.
    earn(stream, 30, share=0.0)
    assert not see(stream).wants_exact


def test_one_in_a_hundred_is_audited_and_more_at_first(stream: Stream) -> None:
    earn(stream, 120)
    at_first = sum(see(stream).audited for _ in range(1000))
    earn(stream, 700)
    later = sum(see(stream).audited for _ in range(1000))
    assert 20 <= at_first <= 30
    assert 9 <= later <= 11
    # Those that are not offered at this fidelity are answered anew anyway.
    assert not any(see(stream, least=0.9999).audited for _ in range(1000))


def test_agreement_of_long_ago_fades(stream: Stream) -> None:
    earn(stream, 5000)
    earn(stream, 30, share=0.0)
    assert stream.fidelity(LADDER[0], shows=True) < 0.98


def test_an_empty_scene_does_not_vouch_for_a_full_one(stream: Stream) -> None:
    stream.answer(answered(shows=False), costs_a_look=False)
    earn(stream, 200)
    assert heirloom(see(stream)).fidelity > 0.99
    stream.answer(answered(1.0), costs_a_look=False)
    assert heirloom(see(stream)).fidelity == 0


def looks(stream: Stream, pictures: int, *, moving: bool, costs_a_look: bool) -> int:
    """At how many of so many pictures the stream was looked at."""
    looked = 0
    for number in range(pictures):
        if stream.is_worth_a_look():
            looked += 1
            level = 20.0 * (number % 8) if moving else 100.0
            see(stream, level)
            stream.answer(answered(1.0, level), costs_a_look=costs_a_look)
    return looked


def test_a_moving_stream_is_looked_at_rarely_where_a_look_costs() -> None:
    assert looks(Stream(), 200, moving=True, costs_a_look=False) == 200
    stream = Stream()
    assert 20 <= looks(stream, 200, moving=True, costs_a_look=True) <= 40
    # It comes to rest, and is looked at again after 16 pictures at the latest.
    assert looks(stream, 100, moving=False, costs_a_look=True) >= 100 - 16


def test_what_a_little_network_answered_is_not_inherited_but_worth_an_exact_answer() -> None:
    stream = Stream()
    by_little = replace(answered(), outputs={}, fidelity=0.0)
    stream.answer(by_little, costs_a_look=False)
    # Inheriting may still prove to be faithful enough.
    assert (see(stream).heirloom, see(stream).wants_exact, see(stream).audited) == (None, True, False)
    stream.answer(answered(at=1.0, level=50.0), costs_a_look=False)
    earn(stream, 200, level=50.0)
    stream.answer(replace(by_little, at=2.0), costs_a_look=False)
    assert (see(stream, at=3.0).heirloom, see(stream, at=3.0).wants_exact) == (None, True)
    assert not see(stream, 90.0, at=3.0).wants_exact
