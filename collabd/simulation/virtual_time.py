"""An event loop whose clock jumps to whatever happens next: an hour of waiting takes no time, and always goes alike."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

# Of asyncio's clock.
_TICK_S = 1e-9


class _Jumps(selectors.SelectSelector):
    """Instead of waiting, says how long the wait would have been. Nothing ever comes from outside."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and no timer is set: under a virtual clock that is for ever")
        if timeout > 0:
            self._jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual. What would run in a thread runs at once and takes no time."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        super().__init__(_Jumps(self._jump))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def run_in_executor(  # type: ignore[override]  # typeshed has it as a coroutine function's result
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run it here and now, since nobody waits for another thread."""
        del executor
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whoever awaits it gets it
            done.set_exception(error)
        return done

    def _jump(self, seconds: float) -> None:
        self._now_s += seconds
        # The base class runs what is due before the next tick. After weeks a tick is lost in rounding.
        if self._now_s + _TICK_S == self._now_s:
            self._now_s += 4 * math.ulp(self._now_s)


def run(main: Coroutine[Any, Any, T], *, start_s: float = 0.0) -> T:
    """What `main` returns; `start_s`: the virtual time at which it begins."""
    with asyncio.Runner(loop_factory=partial(VirtualLoop, start_s)) as runner:
        return runner.run(main)


async def sleep_until(time_s: float) -> None:
    """Return at this time of the event loop's clock, or in the next turn if it is over."""
    await asyncio.sleep(max(time_s - asyncio.get_running_loop().time(), 0.0))
