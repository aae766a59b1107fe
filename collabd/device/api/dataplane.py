"""The device's data plane (`collabd.http.protocol.DataPlane`): it passes each call to the current generation."""

from __future__ import annotations

from typing import Any

from collab_sdk import wire
from collab_sdk.result import SCORES
from collab_sdk.vocabulary import ScoreKind
from collabd import __version__
from collabd.device.core.generation import Generation
from collabd.device.models.loaded import LoadedModels
from collabd.http.parameters import EXTENSIONS


class DeviceDataPlane:
    """Passes calls to `generation`, which may be replaced at any time. A call stays with the one that it began with."""

    def __init__(self, generation: Generation, models: LoadedModels) -> None:
        self.generation = generation
        self._models = models

    def ready(self) -> bool:
        """Always true: the models are warm before the data plane exists."""
        return True

    def server_metadata(self) -> dict[str, Any]:
        """The name and version of the server, and the protocol extensions that it supports."""
        return {"name": "collabd", "version": __version__, "extensions": [*EXTENSIONS, "system_shared_memory"]}

    def models(self) -> list[str]:
        """The names of the loaded models."""
        return [model.manifest.name for model in self._models]

    def model_ready(self, name: str) -> bool:
        """True for each loaded model, since loaded models are warm. Raises `UnknownModel`."""
        return bool(self._models.get(name))

    def model_metadata(self, name: str) -> dict[str, Any]:
        """The protocol's metadata. Its parameters are the digest, the labels, and the kind of the scores."""
        model = self._models.get(name)
        manifest = model.manifest
        kind = ScoreKind.INDEPENDENT if manifest.output_kind == ScoreKind.INDEPENDENT else ScoreKind.PROBABILITIES
        return {
            "name": manifest.name,
            "platform": "onnxruntime",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, 3]}],
            "outputs": [{"name": SCORES, "datatype": "FP32", "shape": [1, len(manifest.labels)]}],
            "parameters": {"digest": model.digest, "labels": list(manifest.labels), "scores": kind},
        }

    async def infer(
        self, name: str, request: wire.InferRequest, arrived: float | None = None, *, caller_s: float | None = None
    ) -> wire.InferResponse:
        """Answer one call. `arrived`, `caller_s`: see `Dispatcher.infer`."""
        generation = self.generation
        with generation.calls.in_use():
            return await generation.dispatcher.infer(name, request, arrived, caller_s=caller_s)
