"""Asks for the daemon's status once a second, beside whoever looks at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

from collab_sdk.errors import CollabError

if TYPE_CHECKING:
    from collab_sdk.reports import StatusReport

PERIOD_S = 1.0


@contextmanager
def watched(ask: Callable[[], StatusReport]) -> Iterator[SimpleQueue[tuple[float, StatusReport | CollabError]]]:
    """A queue of what the daemon said, or why it said nothing, each with the monotonic time when that came.

    A daemon that is silent keeps nobody from leaving.
    """
    came: SimpleQueue[tuple[float, StatusReport | CollabError]] = SimpleQueue()
    leaving = threading.Event()

    def keep_asking() -> None:
        while not leaving.is_set():
            began = time.monotonic()
            answer: StatusReport | CollabError
            try:
                answer = ask()
            except CollabError as error:
                answer = error
            came.put((time.monotonic(), answer))
            leaving.wait(max(began + PERIOD_S - time.monotonic(), PERIOD_S / 10))

    threading.Thread(target=keep_asking, name="status", daemon=True).start()
    try:
        yield came
    finally:
        leaving.set()
