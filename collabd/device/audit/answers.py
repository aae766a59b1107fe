"""The answers that an audit compares: the unsplit network's, and what a lossy way to a companion makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import CodecFigures, Cut
from collabd.device.companions.answers import Tensors
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine, Stop
from collabd.profiling.calibrate import one_by_one, there_and_back


class LocalAnswers:
    """Runs a model about one picture, `pixels`, all on this device, in pieces that may be stopped.

    Sessions are built before they are needed, since building one cannot be stopped. They belong to `engine`, which no
    call uses, so they displace none of the calls' sessions; the weights are shared.
    """

    def __init__(self, model: DeviceModel, engine: Engine, pixels: npt.NDArray[np.uint8]) -> None:
        self._model = model
        self._engine = engine
        self._known: Tensors = {model.inputs[0]: pixels}
        # What is alive at the cuts that were reached, by cut and precision of what runs before.
        self._alive: dict[tuple[str, Precision], Tensors] = {}

    def build_whole(self, precision: Precision) -> None:
        """Build the session of the whole network."""
        self._build(precision, self._model.inputs, self._model.outputs)

    def whole(self, precision: Precision, stop: Stop) -> Tensors:
        """What the unsplit network answers."""
        return _alone(self._run(precision, self._known, self._model.outputs, stop=stop))

    def build_head(self, cut: Cut, precision: Precision) -> None:
        """Build the session of what is before this cut."""
        if made := self._made(cut):
            self._build(precision, self._model.inputs, made)

    def head(self, cut: Cut, precision: Precision, stop: Stop) -> None:
        """Compute what is alive at the cut."""
        made = self._made(cut)
        found = self._run(precision, self._known, made, stop=stop) if made else {}
        self._alive[cut.name, precision] = self._known | found

    def build_tail(self, cut: Cut, precision: Precision) -> None:
        """Build the session of what is behind this cut."""
        self._build(precision, *self._model.network.behind(cut.tensors))

    def lossy(self, cut: Cut, figures: CodecFigures, stop: Stop) -> Tensors:
        """What the network answers if what crosses at the cut travels with this codec. Raises `CodecError`.

        The head in the precision of the `figures` must have run.
        """
        alive = self._alive[cut.name, figures.head]
        crossing, outputs = self._model.network.behind(cut.tensors)
        arrived = {name: there_and_back(alive[name], figures.codec, figures.channel_axis)[0] for name in crossing}
        early = {name: array for name, array in alive.items() if name in self._model.outputs}
        return _alone(early | self._run(figures.tail, arrived, outputs, stop=stop))

    def _made(self, cut: Cut) -> tuple[str, ...]:
        return tuple(name for name in cut.tensors if name not in self._known)

    def _build(self, precision: Precision, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._engine.prepare(self._model.keys[precision], inputs, outputs)

    def _run(self, precision: Precision, feeds: Tensors, outputs: Sequence[str], *, stop: Stop) -> Tensors:
        return self._engine.run(self._model.keys[precision], feeds, outputs, stop=stop)


def _alone(outputs: Tensors) -> Tensors:
    """The outputs of one picture, as of a batch of one."""
    return {name: one_by_one(array, 1) for name, array in outputs.items()}
