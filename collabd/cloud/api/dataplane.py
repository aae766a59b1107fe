"""The companion's data plane (`collabd.http.protocol.DataPlane`): what it says of its models, and what answers."""

from __future__ import annotations

from typing import Any

import collabd
from collab_sdk import wire
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.cloud.models.loaded import CloudModels
from collabd.http.parameters import EXTENSIONS
from collabd.partition import TensorInfo


class CloudDataPlane:
    """Requests go to the dispatcher; the rest is told here."""

    def __init__(self, models: CloudModels, dispatcher: CloudDispatcher) -> None:
        self._models = models
        self._dispatcher = dispatcher

    def ready(self) -> bool:
        """Whether requests are served now."""
        return self._dispatcher.open

    def server_metadata(self) -> dict[str, Any]:
        """Name, version and protocol extensions."""
        return {"name": "collab-cloudd", "version": collabd.__version__, "extensions": list(EXTENSIONS)}

    def models(self) -> list[str]:
        """Names of the loaded models."""
        return self._models.names

    def model_ready(self, name: str) -> bool:
        """A loaded model is warm. Raises `UnknownModel`."""
        self._models.get(name)
        return self._dispatcher.open

    def model_metadata(self, name: str) -> dict[str, Any]:
        """Inputs and outputs of the whole network; -1 is the batch. Raises `UnknownModel`.

        The output is the network's own; its parameters say what it is, which the device makes probabilities of.
        """
        model = self._models.get(name)
        manifest = model.manifest
        return {
            "platform": "onnxruntime",
            "inputs": [_metadata(info) for info in model.network.inputs],
            "outputs": [_metadata(info) for info in model.network.outputs],
            "parameters": {
                "digest": model.digest,
                "labels": list(manifest.labels),
                "scores": manifest.output_kind,
            },
        }

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer a request of nobody in particular. Raises `CollabError`."""
        return await self._dispatcher.infer(name, request)


def _metadata(info: TensorInfo) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in info.shape]
    return {"name": info.name, "datatype": wire.datatype_of(info.dtype), "shape": shape}
