"""The newest frames of a camera, for streams that would rather skip a frame than answer a stale one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from collab_sdk.errors import InvalidRequest
from collab_sdk.image import Image, Tensors

# While so many answers wait to be fetched, the caller is slower than the calls, and no more frames are taken.
_MOST_UNFETCHED = 1


class Call(Protocol):
    """A call under way: a future, or a task."""

    def done(self) -> bool:
        """Whether it has ended."""

    def add_done_callback(self, callback: Callable[[object], None], /) -> object:
        """Call this when it has ended."""


C = TypeVar("C", bound=Call)


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a camera. `taken`: when it was read, on the clock of who read it.

    `dropped`: how many frames were read and dropped since the frame before this one was taken.
    """

    image: Image | Tensors
    taken: float
    dropped: int = 0


class Newest:
    """Keeps the newest frame that a camera gave until somebody takes it. One thread or task reads, another takes.

    `wake` is called when there is a frame, and when the camera has ended.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False

    def read(self, images: Iterable[Image | Tensors], clock: Callable[[], float]) -> None:
        """Read the camera, in a thread of its own, until it ends or nobody takes its frames any more."""
        try:
            for image in images:
                if self._closed:
                    return
                self.put(image, clock())
        except BaseException as error:  # noqa: BLE001  the taker raises it in its turn
            self.end(error)
        else:
            self.end()

    def put(self, image: Image | Tensors, taken: float) -> None:
        """A new frame. One that waits is dropped."""
        with self._lock:
            stale = self._frame
            self._frame = Frame(image, taken, 0 if stale is None else stale.dropped + 1)
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """The camera gives no more frames. `error`: why, unless it simply ended."""
        with self._lock:
            self._error, self._ended = error, True
        self._wake()

    def take(self) -> Frame | None:
        """The newest frame. None: none has come since the last."""
        with self._lock:
            frame, self._frame = self._frame, None
            return frame

    def is_over(self) -> bool:
        """Whether every frame was taken or dropped, and no more will come. Raises the error that ended the camera."""
        with self._lock:
            if not self._ended or self._frame is not None:
                return False
            if self._error is not None:
                raise self._error
            return True

    def close(self) -> None:
        """Nobody takes frames any more."""
        self._closed = True


class NewestCalls(Generic[C]):
    """The calls of a stream under way, of frames that were the newest when a place became free.

    `ask` starts a call. `wake` is called when a call has ended.
    """

    def __init__(self, newest: Newest, ask: Callable[[Frame], C], wake: Callable[[], None], *, in_flight: int) -> None:
        self._newest = newest
        self._ask = ask
        self._wake = wake
        self._in_flight = in_flight
        self.under_way: deque[C] = deque()

    def next_answered(self) -> C | None:
        """The oldest call, if it has ended. Where there is a place, the newest frame is asked first."""
        waiting = sum(call.done() for call in self.under_way)
        while len(self.under_way) < self._in_flight and waiting <= _MOST_UNFETCHED and (frame := self._newest.take()):
            call = self._ask(frame)
            call.add_done_callback(lambda _: self._wake())
            self.under_way.append(call)
        return self.under_way.popleft() if self.under_way and self.under_way[0].done() else None

    def are_over(self) -> bool:
        """Whether all calls were fetched, and no frame will come. Raises the error that ended the camera."""
        return not self.under_way and self._newest.is_over()


def check_in_flight(in_flight: int) -> None:
    """Raises `InvalidRequest` if no call may be under way."""
    if in_flight < 1:
        raise InvalidRequest(f"in_flight: {in_flight!r} is less than 1")
