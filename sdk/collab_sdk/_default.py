"""`infer` without a client of one's own."""

from __future__ import annotations

import functools
import threading
from typing import Unpack

from collab_sdk.budget import Budget
from collab_sdk.client import Client, InferOptions
from collab_sdk.image import Image
from collab_sdk.result import Result

_lock = threading.Lock()


def infer(image: Image, budget: Budget | str | float | None = None, **options: Unpack[InferOptions]) -> Result:
    """Classify one image within a budget, with the daemon of this machine; `Client.infer` explains the arguments.

    The first call makes a `Client` with its defaults, which all threads then share.
    """
    return _client().infer(image, budget, **options)


def _client() -> Client:
    # The cache alone would let two first calls make two clients.
    with _lock:
        return _shared_client()


@functools.cache
def _shared_client() -> Client:
    return Client()
