"""What has come through a door."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from collab_sdk import wire
from collab_sdk.reports import DoorReport
from collabd.clock import Clock
from collabd.config import DoorSettings
from collabd.device.api.door import DeviceVisit


class Traffic:
    """The counts of one door since the daemon started."""

    def __init__(self, settings: DoorSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._calls = self._failed = 0
        self._last: float | None = None
        # Where it listens: a port of 0 becomes one that was free.
        self.address = settings.listen

    def began(self) -> None:
        """A call has come."""
        self._calls += 1
        self._last = self._clock()

    def failed(self) -> None:
        """It was refused, or ended in an error."""
        self._failed += 1

    def report(self) -> DoorReport:
        """The door, and what has come through it."""
        settings = self._settings
        return DoorReport(
            kind=settings.kind,
            address=self.address,
            model=settings.model or None,
            budget=settings.budget or None,
            keys=bool(settings.token_file),
            tls=bool(settings.tls_cert),
            calls=self._calls,
            failed=self._failed,
            last_s=None if self._last is None else self._clock() - self._last,
        )


class CountedVisit:
    """A `collabd.http.protocol.Visit` of a call that came through a door."""

    __slots__ = ("_traffic", "_visit")

    def __init__(self, arrive: Callable[[], DeviceVisit], traffic: Traffic) -> None:
        """`arrive` makes the visit, or raises `Overloaded` or `NotReady`."""
        self._traffic = traffic
        traffic.began()
        try:
            self._visit = arrive()
        except BaseException:
            traffic.failed()
            raise

    async def may_read(self) -> None:
        """Wait until the body may be read."""
        await self._visit.may_read()

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer the call."""
        return await self._visit.infer(name, request)

    def __enter__(self) -> Self:
        self._visit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._traffic.failed()
        self._visit.__exit__(kind, error, traceback)
