"""The companion's data plane (`collabd.http.protocol.DataPlane`): what it says of its models, and what answers."""

from __future__ import annotations

from typing import Any

import collabd
from collab_sdk import wire
from collab_sdk.errors import InvalidRequest
from collabd.catalog.package.manifest import kind_of
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.cloud.counters import CloudCounters
from collabd.cloud.models.loaded import CloudModels
from collabd.http.model_config import model_config
from collabd.http.protocol import port_metadata


class CloudDataPlane:
    """Requests go to the dispatcher; the rest is told here."""

    def __init__(
        self, models: CloudModels, dispatcher: CloudDispatcher, counters: CloudCounters, *, max_batch: int
    ) -> None:
        self._models = models
        self._dispatcher = dispatcher
        self._counters = counters
        self._max_batch = max_batch

    def ready(self) -> bool:
        """Whether load balancers shall send requests."""
        return self._dispatcher.ready

    def server_metadata(self) -> dict[str, Any]:
        """Name and version."""
        return {"name": "collab-cloudd", "version": collabd.__version__}

    def models(self) -> list[str]:
        """Names of the loaded models."""
        return self._models.names

    def model_ready(self, name: str) -> bool:
        """A loaded model is warm. Raises `UnknownModel`."""
        self._models.get(name)
        return self._dispatcher.ready

    def model_metadata(self, name: str) -> dict[str, Any]:
        """Inputs and outputs of the whole network; -1 is the batch. Raises `UnknownModel`.

        The outputs are the network's own. The parameters say what they are, of which the device makes the answer.
        """
        model = self._models.get(name)
        manifest = model.manifest
        scores = {} if manifest.output_kind is None else {"scores": manifest.output_kind}
        return {
            "platform": "onnxruntime",
            "inputs": [port_metadata(port) for port in manifest.inputs],
            "outputs": [port_metadata(port) for port in manifest.outputs],
            "parameters": {"digest": model.digest, "task": kind_of(manifest.task), "labels": list(manifest.labels)}
            | scores,
        }

    def model_config(self, name: str) -> dict[str, Any]:
        """The ports of the whole network. Raises `UnknownModel`."""
        manifest = self._models.get(name).manifest
        most = self._max_batch if manifest.dynamic_batch else 0
        return model_config(manifest, manifest.inputs, manifest.outputs, max_batch=most)

    def statistics(self, name: str | None) -> list[dict[str, Any]]:
        """What the models have answered. Raises `UnknownModel`."""
        names = self.models() if name is None else [self._models.get(name).manifest.name]
        return [self._counters.statistics(each).report(each) for each in names]

    def unloaded(self) -> dict[str, str]:
        """None: each package that is here answers."""
        return {}

    async def load(self, name: str) -> None:
        """Refused: devices push what they need. Raises `InvalidRequest`."""
        raise _kept(name)

    async def unload(self, name: str) -> None:
        """Refused: other devices may use it. Raises `InvalidRequest`."""
        raise _kept(name)

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer a request of nobody in particular. Raises `CollabError`."""
        return await self._dispatcher.infer(name, request)


def _kept(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name[:80]!r} is not loaded or unloaded by request: a companion serves the packages of its own directories, "
        "and those that devices push"
    )
