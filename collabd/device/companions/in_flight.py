"""The exchanges in flight to a companion. All of them end at once when the companion is found dead."""

from __future__ import annotations

import asyncio
from typing import Self

from collabd.device.companions.failures import CompanionFailure, FailureReason


class InFlight:
    """The exchanges in flight to the companion `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.exchanges: set[ExchangeInFlight] = set()
        # How many have begun so far.
        self.begun = 0

    def exchange(self) -> ExchangeInFlight:
        """A context for one exchange of the current task. Raises `CompanionFailure` as soon as `end` is called."""
        return ExchangeInFlight(self)

    def end(self) -> None:
        """Fail all exchanges in flight now."""
        for exchange in self.exchanges:
            exchange.end()


class ExchangeInFlight:
    """One exchange. It is ended as `asyncio.timeout` ends its block: by cancelling the task, which then goes on."""

    __slots__ = ("_cancelled_before", "_ended", "_in_flight", "_task")

    def __init__(self, in_flight: InFlight) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  exchanges are awaited
        self._task = task
        self._cancelled_before = task.cancelling()
        self._in_flight = in_flight
        self._ended = False

    def end(self) -> None:
        """Fail it now."""
        if not self._ended:
            self._ended = True
            self._task.cancel()

    def __enter__(self) -> Self:
        self._in_flight.exchanges.add(self)
        self._in_flight.begun += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._in_flight.exchanges.discard(self)
        # Who else cancelled the task meanwhile means the whole of it.
        if self._ended and self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            why = f"collabd gave {self._in_flight.name} up meanwhile, because other exchanges with it failed"
            raise CompanionFailure(FailureReason.ABANDONED, why) from error
