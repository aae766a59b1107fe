"""The client of collabd, for asyncio."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Self, Unpack

from collab_sdk.budget import Budget
from collab_sdk.client import Client, InferOptions
from collab_sdk.image import Image
from collab_sdk.reports import ConfigReport, ExplainReport, LayersReport, ModelReport, ProfileReport, StatusReport
from collab_sdk.result import Result

__all__ = ["AsyncClient"]


class AsyncClient:
    """`Client` with its methods as coroutines: same arguments, answers and errors.

    Each call runs in a thread of the loop's default executor, which bounds how many run at once. A cancelled call is
    abandoned: its thread ends with the answer or with ``timeout_s``.
    """

    def __init__(self, socket: str | os.PathLike[str] | None = None, timeout_s: float = 60) -> None:
        self._client = Client(socket, timeout_s)

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
        """See `Client.infer`."""
        return await asyncio.to_thread(self._client.infer, image, budget, **options)

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
