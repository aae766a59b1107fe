"""The device's data plane (`collabd.http.protocol.DataPlane`): each call goes to the core of the time when it came."""

from __future__ import annotations

from typing import Any

from collab_sdk import wire
from collabd.device.core.generation import Generation


class DeviceDataPlane:
    """`core` may be replaced at any time: calls in progress stay with the one that they began with."""

    def __init__(self, core: Generation) -> None:
        self.core = core

    def ready(self) -> bool:
        """Whether the models are warm."""
        return self.core.dispatcher.ready()

    def server_metadata(self) -> dict[str, Any]:
        """Name, version and extensions of the protocol."""
        return self.core.dispatcher.server_metadata()

    def models(self) -> list[str]:
        """Names of the loaded models."""
        return self.core.dispatcher.models()

    def model_ready(self, name: str) -> bool:
        """Loaded models are warm."""
        return self.core.dispatcher.model_ready(name)

    def model_metadata(self, name: str) -> dict[str, Any]:
        """The protocol's metadata of a model."""
        return self.core.dispatcher.model_metadata(name)

    async def infer(self, name: str, request: wire.InferRequest, arrived: float | None = None) -> wire.InferResponse:
        """Answer one call. `arrived`: when it came, on the clock of the daemon; None: now."""
        with self.core.call() as dispatcher:
            return await dispatcher.infer(name, request, arrived)
