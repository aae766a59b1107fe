"""Threads that decode requests. Devices take turns: the large pictures of one keep no other waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from collab_sdk import wire
from collabd.cloud.call.work import RequestLimits, Work, decoded_bytes, quick_work_of, work_of
from collabd.cloud.models.model import CloudModel
from collabd.fair_shares import FairShares

T = TypeVar("T")

# Each thread may hold some hundred MB, for a picture of the largest size.
_THREADS = 2
# Up to here a request is decoded within milliseconds, unless it is the file of a large picture, as its header says.
_LITTLE_BYTES = 2**18


class DecodingThreads:
    """The threads. One device may have all of them but one; requests that take little have a thread for themselves."""

    def __init__(self) -> None:
        self._threads = _Threads(_THREADS)
        self._quick = _Threads(1)

    async def work_of(
        self, device: str | None, request: wire.InferRequest, model: CloudModel, *, limits: RequestLimits
    ) -> tuple[Work, float]:
        """What `request` asks of `model`, and the seconds that it took to decode. Raises what `work.work_of` does."""
        decode = partial(work_of, request, model, limits)
        if decoded_bytes(request) > _LITTLE_BYTES:
            return await self._threads.timed(device, decode)
        work, seconds = await self._quick.timed(device, partial(quick_work_of, request, model, limits))
        return (work, seconds) if work is not None else await self._threads.timed(device, decode)

    def close(self) -> None:
        """Finish what runs, drop what waits."""
        for threads in (self._threads, self._quick):
            threads.pool.shutdown(cancel_futures=True)


class _Threads:
    def __init__(self, count: int) -> None:
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="decode")
        self._turns = FairShares(count, max(count - 1, 1))

    async def timed(self, device: str | None, decode: Callable[[], T]) -> tuple[T, float]:
        async with self._turns.held(device):
            running = asyncio.get_running_loop().run_in_executor(self.pool, _timed, decode)
            try:
                return await asyncio.shield(running)
            finally:
                # The thread works on even if the caller hung up, so the device keeps its turn until then.
                await asyncio.wait([running])
                # Its error refers to this frame and to the request: only the garbage collector would free the three.
                del running


def _timed(decode: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return decode(), time.perf_counter() - start
