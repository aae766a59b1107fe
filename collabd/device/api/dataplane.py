"""The device's data plane (`collabd.http.protocol.DataPlane`): it passes each call to the current generation."""

from __future__ import annotations

from typing import Any

from collab_sdk import wire
from collab_sdk.vocabulary import ScoreKind, TaskKind
from collabd import __version__
from collabd.catalog.package.manifest import Manifest, Port, Segment, kind_of
from collabd.device.core.generation import Generation
from collabd.device.job.batch import MOST_ITEMS
from collabd.device.models.loaded import LoadedModels
from collabd.http.model_config import model_config
from collabd.http.protocol import port_metadata
from collabd.tasks.answering import answers_of
from collabd.tasks.forms import AnswerForms

# Pictures of any size, as an array.
_PICTURES = Port("image", "uint8", (None, None, None, 3))


class DeviceDataPlane:
    """Passes calls to `generation`, which may be replaced at any time. A call stays with the one that it began with."""

    def __init__(self, generation: Generation, models: LoadedModels) -> None:
        self.generation = generation
        self._models = models

    def ready(self) -> bool:
        """Always true: the models are warm before the data plane exists."""
        return True

    def server_metadata(self) -> dict[str, Any]:
        """The name and version of the server."""
        return {"name": "collabd", "version": __version__}

    def models(self) -> list[str]:
        """The names of the models."""
        return self._models.names

    def model_ready(self, name: str) -> bool:
        """True for each model: it is warm, or is loaded when a call needs it. Raises `UnknownModel`."""
        return bool(self._models.package(name))

    def model_metadata(self, name: str) -> dict[str, Any]:
        """The protocol's metadata. Its parameters are the digest, the task, the labels, and the kind of scores."""
        package = self._models.package(name)
        manifest = package.manifest
        inputs = manifest.inputs if manifest.picture is None else [_PICTURES]
        parameters: dict[str, Any] = {
            "digest": package.digest,
            "task": kind_of(manifest.task),
            "labels": list(manifest.labels),
        }
        if manifest.output_kind is not None:
            independent = manifest.output_kind == ScoreKind.INDEPENDENT
            parameters["scores"] = ScoreKind.INDEPENDENT if independent else ScoreKind.PROBABILITIES
        if isinstance(manifest.task, Segment) and manifest.task.palette is not None:
            parameters["palette"] = [list(colour) for colour in manifest.task.palette]
        return {
            "name": manifest.name,
            "platform": "onnxruntime",
            "inputs": [port_metadata(port) for port in inputs],
            "outputs": [port_metadata(_of_items(port, manifest)) for port in answers_of(manifest).ports],
            "parameters": parameters,
        }

    def model_config(self, name: str) -> dict[str, Any]:
        """What the network takes and gives: of pictures, its input as floats, and outputs in pixels of that."""
        manifest = self._models.package(name).manifest
        forms, inputs = AnswerForms(manifest), manifest.inputs
        if (picture := manifest.picture) is not None:
            inputs = (Port(_PICTURES.name, "float32", (None, 3, picture.height, picture.width)),)
        # The form in which clients that read this know a detector is the one with suppression inside.
        of_task = {TaskKind.CLASSIFY: forms.usual, TaskKind.DETECT: forms.rows}.get(TaskKind(kind_of(manifest.task)))
        outputs = manifest.outputs if of_task is None else of_task.ports
        return model_config(manifest, inputs, outputs, max_batch=MOST_ITEMS if _takes_several(manifest) else 0)

    def statistics(self, name: str | None) -> list[dict[str, Any]]:
        """What the models have answered."""
        names = self.models() if name is None else [self._models.package(name).manifest.name]
        return self.generation.reporter.statistics(names)

    def unloaded(self) -> dict[str, str]:
        """The models that were unloaded."""
        return dict.fromkeys(self._models.unloaded, "unloaded")

    async def load(self, name: str) -> None:
        """Read the package of a model again, and serve it. Raises `UnknownModel`, `InvalidPackage`."""
        await self._models.reload(name)
        self._let_go()

    async def unload(self, name: str) -> None:
        """Answer no more calls with a model. Raises `UnknownModel`."""
        await self._models.unload(name)
        self._let_go()

    def _let_go(self) -> None:
        """A model may be gone. The choices for its calls would keep its weights."""
        self.generation.planner.reconsider()

    async def infer(
        self, name: str, request: wire.InferRequest, arrived: float | None = None, *, caller_s: float | None = None
    ) -> wire.InferResponse:
        """Answer one call. `arrived`, `caller_s`: see `Dispatcher.infer`."""
        generation = self.generation
        with generation.calls.in_use():
            return await generation.dispatcher.infer(name, request, arrived, caller_s=caller_s)


def _takes_several(manifest: Manifest) -> bool:
    """Whether a request may be about several items."""
    return manifest.picture is not None or manifest.dynamic_batch


def _of_items(port: Port, manifest: Manifest) -> Port:
    """The output as it is where a request is about several items."""
    if port.shape[:1] == (1,) and _takes_several(manifest):
        return Port(port.name, port.dtype, (None, *port.shape[1:]))
    return port
