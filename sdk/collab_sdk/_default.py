"""`infer` for applications that make no `Client` themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Unpack

from collab_sdk.budget import Budget
from collab_sdk.client import Client, InferOptions
from collab_sdk.image import Image, Tensors
from collab_sdk.result import Result


class SharedClient:
    """One client for all threads; the first call makes it."""

    def __init__(self, make: Callable[[], Client] = Client) -> None:
        self._make = make
        self._made: Client | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Client:
        """The client."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


_client = SharedClient()


def infer(
    image: Image | Tensors, budget: Budget | str | float | None = None, **options: Unpack[InferOptions]
) -> Result:
    """Answer one image within a budget, with the daemon of this machine; `Client.infer` explains the arguments.

    The first call makes a `Client` with its defaults, which all threads then share.
    """
    return _client().infer(image, budget, **options)
