"""The client of collabd, for asyncio."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Self, Unpack

from collab_sdk._waiting import add_waiting
from collab_sdk.budget import Budget
from collab_sdk.channels import Channels
from collab_sdk.client import Client, InferOptions
from collab_sdk.clock import WaitingClock
from collab_sdk.errors import InvalidRequest
from collab_sdk.image import Image
from collab_sdk.reports import ConfigReport, ExplainReport, LayersReport, ModelReport, ProfileReport, StatusReport
from collab_sdk.result import Result
from collab_sdk.transport import Transport

__all__ = ["AsyncClient"]


class AsyncClient:
    """`Client` with its methods as coroutines: same arguments, answers and errors.

    Each call runs in a thread of the loop's default executor, which limits how many calls run at once. So the transport
    is the same as for `Client`, and threads use it. After a cancellation the thread goes on until the answer comes or
    ``timeout_s`` is over; nobody gets that answer.
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    async def infer(
        self, image: Image, budget: Budget | str | float | None = None, **options: Unpack[InferOptions]
    ) -> Result:
        """See `Client.infer`; waiting for a free thread is part of the latency."""
        return await self._taken(self._clock.monotonic(), image, budget, **options)

    async def stream(
        self,
        images: AsyncIterable[Image] | Iterable[Image],
        budget: Budget | str | float | None = "max-throughput",
        *,
        in_flight: int = 4,
        **options: Unpack[InferOptions],
    ) -> AsyncGenerator[Result, None]:
        """See `Client.stream`; the images may also come from an asynchronous iterator, such as a camera."""
        if in_flight < 1:
            raise InvalidRequest(f"in_flight: {in_flight!r} is less than 1")
        under_way: deque[asyncio.Task[Result]] = deque()
        try:
            async for image in _each(images):
                under_way.append(asyncio.create_task(self._taken(self._clock.monotonic(), image, budget, **options)))
                if len(under_way) == in_flight:
                    yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _taken(
        self, taken: float, image: Image, budget: Budget | str | float | None, **options: Unpack[InferOptions]
    ) -> Result:
        result = await asyncio.to_thread(self._client.infer, image, budget, **options)
        add_waiting(result, self._clock.monotonic() - taken)
        return result

    async def status(self) -> StatusReport:
        """See `Client.status`."""
        return await asyncio.to_thread(self._client.status)

    async def profile(self, model: str, budget: Budget | str | float | None = None) -> ProfileReport:
        """See `Client.profile`."""
        return await asyncio.to_thread(self._client.profile, model, budget)

    async def layers(self, model: str) -> LayersReport:
        """See `Client.layers`."""
        return await asyncio.to_thread(self._client.layers, model)

    async def explain(self, last: int = 1) -> ExplainReport:
        """See `Client.explain`."""
        return await asyncio.to_thread(self._client.explain, last)

    async def models(self) -> list[ModelReport]:
        """See `Client.models`."""
        return await asyncio.to_thread(self._client.models)

    async def config(self) -> ConfigReport:
        """See `Client.config`."""
        return await asyncio.to_thread(self._client.config)

    async def load_model(self, path: str | os.PathLike[str]) -> ModelReport:
        """See `Client.load_model`."""
        return await asyncio.to_thread(self._client.load_model, path)

    async def unload_model(self, name: str) -> None:
        """See `Client.unload_model`."""
        await asyncio.to_thread(self._client.unload_model, name)

    async def ready(self) -> bool:
        """See `Client.ready`."""
        return await asyncio.to_thread(self._client.ready)

    async def wait(self, timeout_s: float = 60, *, profiled: bool = False) -> None:
        """See `Client.wait`."""
        await asyncio.to_thread(self._client.wait, timeout_s, profiled=profiled)


async def _each(images: AsyncIterable[Image] | Iterable[Image]) -> AsyncIterator[Image]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image
