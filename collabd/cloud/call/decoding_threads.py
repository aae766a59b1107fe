"""Where requests are decoded: what takes little at once, the rest in threads, where devices take turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from collab_sdk import wire
from collabd.cloud.call.work import RequestLimits, Work, decoded_bytes, quick_work_of, work_of
from collabd.cloud.models.model import CloudModel
from collabd.fair_shares import FairShares
from collabd.worker import Worker

T = TypeVar("T")

# Each thread may hold some hundred MB, for a picture of the largest size.
_THREADS = 2
# Up to here a request is decoded within milliseconds, unless it is the file of a large picture, as its header says.
_LITTLE_BYTES = 2**18
# A picture of so many pixels is decoded in some 20 ms, in four times that if its format is slow.
_QUICK_PIXELS = 2**20
# Tensors of so many bytes are decoded in the time of the way to a thread and back, 100 us on a PC, or a few times that.
_TINY_BYTES = 2**16
# A picture of so many pixels is decoded in 2 ms. In the event loop, that holds up nobody where nobody else is served.
_TINY_PIXELS = 2**17


class DecodingThreads:
    """The threads. One device may have all of them but one; requests that take little have a thread for themselves."""

    def __init__(self, new_worker: Callable[[str], Worker] = Worker) -> None:
        """`new_worker` makes a thread, of its name."""
        self._threads = _Threads(_THREADS, new_worker)
        self._quick = _Threads(1, new_worker)

    async def work_of(
        self,
        device: str | None,
        request: wire.InferRequest,
        model: CloudModel,
        *,
        limits: RequestLimits,
        alone: bool = False,
    ) -> tuple[Work, float]:
        """What `request` asks of `model`, and the seconds that it took to decode. Raises what `work.work_of` does.

        `alone`: no other request is served now.
        """
        decode = partial(work_of, request, model, limits)
        size = decoded_bytes(request)
        if size > _LITTLE_BYTES:
            return await self._threads.timed(device, decode)
        if alone or (size <= _TINY_BYTES and not _is_file(request)):
            work, seconds = _timed(partial(quick_work_of, request, model, limits, pixels=_TINY_PIXELS))
            if work is not None:
                return work, seconds
        work, seconds = await self._quick.timed(
            device, partial(quick_work_of, request, model, limits, pixels=_QUICK_PIXELS)
        )
        return (work, seconds) if work is not None else await self._threads.timed(device, decode)

    def close(self) -> None:
        """Finish what runs, drop what waits."""
        for threads in (self._threads, self._quick):
            threads.shutdown()


class _Threads:
    def __init__(self, count: int, new_worker: Callable[[str], Worker]) -> None:
        self._workers = [new_worker(f"decode-{number}") for number in range(count)]
        self._free = list(self._workers)
        self._turns = FairShares(count, max(count - 1, 1))

    async def timed(self, device: str | None, decode: Callable[[], T]) -> tuple[T, float]:
        taken = self._turns.take_now(device) or await self._turns.take(device)
        worker = self._free.pop()
        running = worker.begin(partial(_timed, decode))
        try:
            return await asyncio.shield(running)
        finally:
            # The thread works on even if the caller hung up, so the device keeps its turn until then.
            if not running.done():
                await asyncio.wait([running])
            self._free.append(worker)
            self._turns.give_back(device, taken)
            # Its error refers to this frame and to the request: only the garbage collector would free the three.
            del running

    def shutdown(self) -> None:
        for worker in self._workers:
            worker.shutdown(cancel_futures=True)


def _is_file(request: wire.InferRequest) -> bool:
    return any(tensor.datatype == "BYTES" for tensor in request.inputs)


def _timed(decode: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return decode(), time.perf_counter() - start
