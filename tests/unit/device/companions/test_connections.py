"""Connections that were left are closed, but never while an exchange is under way on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from collabd.device.companions.connection import Address, CompanionConnection
from collabd.device.companions.connections import Connections

HERE = Address("here", 1)


@dataclass(eq=False)
class Line:
    """A connection without a network."""

    is_open: bool = True

    def abort(self) -> None:
        self.is_open = False


@pytest.fixture
def lines() -> list[Line]:
    """Those that were made."""
    return []


@pytest.fixture
def now() -> list[float]:
    """The time, in seconds."""
    return [0.0]


@pytest.fixture
def connections(lines: list[Line], now: list[float]) -> Connections:
    async def connect(_: Address) -> CompanionConnection:
        lines.append(Line())
        return cast("CompanionConnection", lines[-1])

    return Connections(connect, clock=lambda: now[0])


@asynccontextmanager
async def lent(connections: Connections) -> AsyncIterator[None]:
    connection = await connections.take(HERE)
    try:
        yield
    finally:
        connections.give_back(connection)


async def test_one_serves_one_exchange_after_another(connections: Connections, lines: list[Line]) -> None:
    for _ in range(3):
        async with lent(connections):
            pass
    async with lent(connections), lent(connections):
        pass
    assert len(lines) == 2


async def test_what_is_left_behind_is_closed_when_its_exchange_ends(
    connections: Connections, lines: list[Line]
) -> None:
    async with lent(connections), lent(connections):
        pass
    async with lent(connections):
        connections.leave()
        assert sorted(line.is_open for line in lines) == [False, True]
        async with lent(connections):
            assert len(lines) == 3
    assert [line.is_open for line in lines] == [False, False, True]


async def test_who_hung_up_or_was_idle_for_long_is_not_asked(
    connections: Connections, lines: list[Line], now: list[float]
) -> None:
    async with lent(connections):
        pass
    lines[0].is_open = False
    async with lent(connections):
        pass
    now[0] = 61.0
    async with lent(connections):
        pass
    assert [line.is_open for line in lines] == [False, False, True]


async def test_at_the_end_all_are_closed(connections: Connections, lines: list[Line]) -> None:
    async with connections:
        async with lent(connections):
            pass
        busy = lent(connections)
        await busy.__aenter__()
        async with lent(connections):
            pass
    assert [line.is_open for line in lines] == [False, False]
    await busy.__aexit__(None, None, None)
