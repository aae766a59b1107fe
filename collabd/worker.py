"""One thread for heavy work. What an event loop awaits takes a fraction of the way through `concurrent.futures`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Job(Protocol):
    def run(self) -> None:
        """Do the work, unless it was cancelled, and tell who waits. Raises nothing."""

    def cancel(self) -> None:
        """Tell who waits that it will not be done."""


class Worker(Executor):
    """Runs jobs one after the other. `finished_at`: when it last finished one, by `time.monotonic`."""

    def __init__(self, name: str) -> None:
        self.finished_at = time.monotonic()
        # None: the end.
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._open = True
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return self._jobs.qsize()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in the thread. Raises `RuntimeError` after `shutdown`."""
        job: _Submitted[T] = _Submitted(lambda: fn(*args, **kwargs))
        self._put(job)
        return job.future

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises in the thread. If this is cancelled before its turn, it does not run."""
        future = self.begin(work)
        try:
            return await future
        finally:
            # The error of the work refers to this frame: only the garbage collector would free them.
            del future

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What `run` awaits. Raises `RuntimeError` after `shutdown`."""
        job = _Awaited(work, asyncio.get_running_loop())
        self._put(job)
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs, and drop those that wait if `cancel_futures` is set. Wait until the others have ended."""
        self._open = False
        if cancel_futures:
            with suppress(Empty):
                while True:
                    job = self._jobs.get_nowait()
                    if job is not None:
                        job.cancel()
        self._jobs.put(None)
        if wait:
            self._thread.join()

    def _put(self, job: _Job) -> None:
        if not self._open:
            raise RuntimeError("the worker takes no more jobs: it was shut down")
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            self.finished_at = time.monotonic()
            # It must not live until the next one comes.
            del job


class _Submitted(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.future: Future[T] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            value = self._work()
        except BaseException as error:  # noqa: BLE001  who waits gets it
            self.future.set_exception(error)
            # The error refers to this frame: only the garbage collector would free them.
            del self
        else:
            self.future.set_result(value)

    def cancel(self) -> None:
        self.future.cancel()
        self.future.set_running_or_notify_cancel()


class _Awaited(Generic[T]):
    __slots__ = ("_loop", "_work", "future")

    def __init__(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self.future: asyncio.Future[T] = loop.create_future()

    def run(self) -> None:
        # Nobody but the event loop changes the future, and to look at it needs no lock.
        if self.future.cancelled():
            return
        try:
            value = self._work()
        except BaseException as error:  # noqa: BLE001  who waits gets it
            self._tell(self._fail, error)
            # As above.
            del self
        else:
            self._tell(self._succeed, value)

    def cancel(self) -> None:
        self._tell(self.future.cancel)

    def _tell(self, tell: Callable[..., object], *what: object) -> None:
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell, *what)

    def _succeed(self, value: T) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)
