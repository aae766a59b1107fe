"""A limit of time for what another machine does. While this process stands still, it does not run out."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

# A process that stands still, however long, loses one slice at most of the time that it means to wait.
_SLICES = 8


class Patience:
    """Around what may take so many `seconds`, as `asyncio.timeout`: raises `TimeoutError` when they are over.

    Only the time counts in which the event loop could have seen an answer. A machine that is suspended, that pages, or
    whose processor is taken, finds by the clock that all limits are over as soon as it goes on, and would blame those
    whose answers it has only not read yet.
    """

    __slots__ = ("_left", "_limit", "_loop", "_slice_s", "_timer")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._slice_s = seconds / _SLICES
        self._left = _SLICES

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._timer = self._loop.call_later(self._slice_s, self._slice_over)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _slice_over(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._slice_s, self._slice_over)
        else:
            self._limit.reschedule(self._loop.time())
