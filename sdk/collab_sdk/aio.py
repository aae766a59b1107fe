"""The client of collabd, for asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeAlias, TypeVar, Unpack

from collab_sdk._newest import Frame, Newest, NewestCalls, check_in_flight
from collab_sdk._waiting import add_frame, add_waiting
from collab_sdk.budget import Budget
from collab_sdk.channels import Channels
from collab_sdk.client import Client, InferOptions
from collab_sdk.clock import WaitingClock
from collab_sdk.image import Image, Tensors
from collab_sdk.reports import (
    ConfigReport,
    DoorReport,
    ExplainReport,
    LayersReport,
    ModelReport,
    ProfileReport,
    StatusReport,
)
from collab_sdk.result import Result
from collab_sdk.transport import Transport

__all__ = ["AsyncClient"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncClient:
    """`Client` with its methods as coroutines: same arguments, answers and errors.

    Each call runs in a thread of the client's own, of which there are four more than cores, 32 at most: so many calls
    run at once. So the transport is the same as for `Client`, and threads use it. After a cancellation the thread goes
    on until the answer comes or ``timeout_s`` is over; nobody gets that answer.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        timeout_s: float = 60,
        *,
        channels: Channels | str = Channels.RGB,
        transport: Transport | None = None,
        clock: WaitingClock = time,
    ) -> None:
        self._clock = clock
        self._client = Client(socket, timeout_s, channels=channels, transport=transport, clock=clock)
        self._threads = _own_threads()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()
        self._threads.shutdown(wait=False)
        self._threads = _own_threads()

    async def infer(
        self, image: Image | Tensors, budget: Budget | str | float | None = None, **options: Unpack[InferOptions]
    ) -> Result:
        """See `Client.infer`; waiting for a free thread is part of the latency."""
        return await self._taken(Frame(image, self._clock.monotonic()), budget, **options)

    async def stream(
        self,
        images: AsyncIterable[Image | Tensors] | Iterable[Image | Tensors],
        budget: Budget | str | float | None = "max-throughput",
        *,
        in_flight: int = 4,
        latest: bool = False,
        **options: Unpack[InferOptions],
    ) -> AsyncGenerator[Result, None]:
        """See `Client.stream`; the images may also come from an asynchronous iterator, such as a camera.

        With ``latest`` a task reads an asynchronous iterator, and a thread any other.
        """
        check_in_flight(in_flight)

        async def answered(frame: Frame) -> Result:
            result = await self._taken(frame, budget, **options)
            add_frame(result, frame)
            return result

        def ask(frame: Frame) -> asyncio.Task[Result]:
            return asyncio.create_task(answered(frame))

        async with aclosing((_newest if latest else _each)(images, ask, self._clock, in_flight=in_flight)) as answers:
            async for result in answers:
                yield result

    async def _taken(
        self, frame: Frame, budget: Budget | str | float | None, **options: Unpack[InferOptions]
    ) -> Result:
        result = await self._in_thread(self._client.infer, frame.image, budget, **options)
        add_waiting(result, self._clock.monotonic() - frame.taken)
        return result

    async def _in_thread(self, ask: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        call = partial(copy_context().run, ask, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def status(self) -> StatusReport:
        """See `Client.status`."""
        return await self._in_thread(self._client.status)

    async def profile(self, model: str, budget: Budget | str | float | None = None) -> ProfileReport:
        """See `Client.profile`."""
        return await self._in_thread(self._client.profile, model, budget)

    async def layers(self, model: str) -> LayersReport:
        """See `Client.layers`."""
        return await self._in_thread(self._client.layers, model)

    async def explain(self, last: int = 1) -> ExplainReport:
        """See `Client.explain`."""
        return await self._in_thread(self._client.explain, last)

    async def models(self) -> list[ModelReport]:
        """See `Client.models`."""
        return await self._in_thread(self._client.models)

    async def config(self) -> ConfigReport:
        """See `Client.config`."""
        return await self._in_thread(self._client.config)

    async def doors(self) -> list[DoorReport]:
        """See `Client.doors`."""
        return await self._in_thread(self._client.doors)

    async def load_model(self, path: str | os.PathLike[str]) -> ModelReport:
        """See `Client.load_model`."""
        return await self._in_thread(self._client.load_model, path)

    async def unload_model(self, name: str) -> None:
        """See `Client.unload_model`."""
        await self._in_thread(self._client.unload_model, name)

    async def ready(self) -> bool:
        """See `Client.ready`."""
        return await self._in_thread(self._client.ready)

    async def wait(
        self,
        timeout_s: float = 60,
        *,
        profiled: bool = False,
        companions: bool = False,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """See `Client.wait`. ``tell`` is called in another thread."""
        wait = partial(self._client.wait, timeout_s, profiled=profiled, companions=companions, tell=tell)
        await self._in_thread(wait)


def _own_threads() -> ThreadPoolExecutor:
    # In the loop's own threads, calls would hold up all that the application does there, such as finding addresses.
    return ThreadPoolExecutor(thread_name_prefix="collabd-call")


_Images: TypeAlias = AsyncIterable[Image | Tensors] | Iterable[Image | Tensors]
_Ask: TypeAlias = Callable[[Frame], asyncio.Task[Result]]


async def _each(images: _Images, ask: _Ask, clock: WaitingClock, *, in_flight: int) -> AsyncGenerator[Result, None]:
    under_way: deque[asyncio.Task[Result]] = deque()
    try:
        async for image in _one_by_one(images):
            under_way.append(ask(Frame(image, clock.monotonic())))
            if len(under_way) == in_flight:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        await _cancelled(under_way)


async def _one_by_one(images: _Images) -> AsyncIterator[Image | Tensors]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image


async def _newest(images: _Images, ask: _Ask, clock: WaitingClock, *, in_flight: int) -> AsyncGenerator[Result, None]:
    changed, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        # The thread of a camera may outlive the loop of a stream that was closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(changed.set)

    newest = Newest(wake)
    calls = NewestCalls(newest, ask, changed.set, in_flight=in_flight)
    readers: list[asyncio.Task[None]] = []
    if isinstance(images, AsyncIterable):
        readers.append(asyncio.create_task(_read(newest, images, clock)))
    else:
        threading.Thread(target=newest.read, args=(images, clock.monotonic), name="stream-camera", daemon=True).start()
    try:
        while True:
            changed.clear()
            if (call := calls.next_answered()) is not None:
                yield call.result()
            elif calls.are_over():
                return
            else:
                await changed.wait()
    finally:
        newest.close()
        await _cancelled([*calls.under_way, *readers])


async def _read(newest: Newest, images: AsyncIterable[Image | Tensors], clock: WaitingClock) -> None:
    try:
        async for image in images:
            newest.put(image, clock.monotonic())
    except BaseException as error:  # noqa: BLE001  the stream raises it in its turn
        newest.end(error)
    else:
        newest.end()


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks, and wait for their ends."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
