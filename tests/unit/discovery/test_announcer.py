"""Announcing where it does not work: told once, and nobody is disturbed. tests/system shows it in real networks."""

from __future__ import annotations

import logging

import pytest

from collabd.discovery.announcement import Announcement
from collabd.discovery.announcer import Announcer
from collabd.lifecycle import background, do_without
from tests.patience import comes_true

NOWHERE = Announcement(name="pc", addresses=(), port=8470, version="0.1.0", secured=True)


async def test_a_machine_without_an_address_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    looks = 0

    def describe() -> Announcement:
        nonlocal looks
        looks += 1
        return Announcement(name=f"pc{looks // 3}", addresses=(), port=1, version="0.1.0", secured=True)

    with caplog.at_level(logging.WARNING):
        async with background("announcing", Announcer(describe, look_s=0.001).run, do_without):
            await comes_true(lambda: looks >= 20)
    assert [each.message for each in caplog.records] == [
        "not announced: other machines cannot reach this one at any address"
    ]


async def test_what_fails_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    failures = [OSError("no such thing")]

    def describe() -> Announcement:
        if failures:
            raise failures.pop()
        return NOWHERE

    with caplog.at_level(logging.WARNING):
        async with background("announcing", Announcer(describe, look_s=0.001, again_s=0.001).run, do_without):
            await comes_true(lambda: len(caplog.records) == 2)
    assert caplog.records[0].message == "not announced: no such thing; tried again until it works"
    assert "at any address" in caplog.records[1].message
