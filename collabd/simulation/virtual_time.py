"""An event loop whose clock jumps to the next event. An hour of waiting takes no time, and every run is the same."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from collabd.worker import Worker

T = TypeVar("T")

# The resolution of asyncio's clock.
_TICK_S = 1e-9


class _Jumps(selectors.SelectSelector):
    """Does not wait: it reports how long the wait would have been. No event ever comes from outside."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and no timer is set: under a virtual clock that is for ever")
        if timeout > 0:
            self._jump(timeout)
        return []


class VirtualThread(Executor):
    """A thread whose work says how long it takes. `clock`: of the loop; `now` goes on while the work runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._taken_s = 0.0

    def now(self) -> float:
        """The time, as the work sees it."""
        return self._clock() + self._taken_s

    def takes(self, seconds: float) -> None:
        """The work calls this to take this many more seconds."""
        self._taken_s += seconds

    def ended(self) -> float:
        """The work has ended. Returns how many seconds it took."""
        taken_s, self._taken_s = self._taken_s, 0.0
        return taken_s


class VirtualWorker(VirtualThread, Worker):
    """A worker without a thread."""

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run the work; it ends later."""
        return asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self, work))


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual `time()`. Work for a thread runs at once and takes no time."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        super().__init__(_Jumps(self._jump))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def run_in_executor(  # type: ignore[override]  # typeshed has it as a coroutine function's result
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` at once on this thread, because a virtual clock cannot wait for another thread.

        What it does on a `VirtualThread` takes time, and its result comes afterwards.
        """
        done: asyncio.Future[T] = self.create_future()
        try:
            value = func(*args)
        except Exception as error:  # noqa: BLE001  whoever awaits it gets it
            done.set_exception(error)
            return done
        takes_s = executor.ended() if isinstance(executor, VirtualThread) else 0.0
        if takes_s:
            self.call_later(takes_s, _tell, done, value)
        else:
            done.set_result(value)
        return done

    def _jump(self, seconds: float) -> None:
        self._now_s += seconds
        # The base class runs all timers that are due before the next tick. After weeks of virtual time, rounding loses
        # the tick, so the clock must jump a little further.
        if self._now_s + _TICK_S == self._now_s:
            self._now_s += 4 * math.ulp(self._now_s)


def _tell(done: asyncio.Future[T], value: T) -> None:
    if not done.done():
        done.set_result(value)


def run(main: Coroutine[Any, Any, T], *, start_s: float = 0.0) -> T:
    """Run `main` and return its result. `start_s`: the virtual time in seconds at which it begins."""
    with asyncio.Runner(loop_factory=partial(VirtualLoop, start_s)) as runner:
        return runner.run(main)


async def sleep_until(time_s: float) -> None:
    """Return at this time on the clock of the event loop. If the time has passed, return in the loop's next turn."""
    await asyncio.sleep(max(time_s - asyncio.get_running_loop().time(), 0.0))
