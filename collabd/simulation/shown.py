"""What the requests of a run show, and what the networks of the simulated machines answer to that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.simulation.answers import AnswerRow, Answers
from collabd.simulation.little import SimulatedLittle
from collabd.simulation.pictures import SimulatedCamera
from collabd.tasks.tensors import Outputs


class Shown:
    """The frames of a camera, in their first order. `little`: a network that may answer to some of them."""

    def __init__(self, camera: SimulatedCamera, answers: Answers, little: SimulatedLittle | None = None) -> None:
        self._pictures = camera.pictures
        self._frames = camera.frames(0)
        self._answers = answers
        self._known: dict[AnswerRow, Outputs] = {}
        self.little = little
        self._sure: dict[tuple[Precision, float], npt.NDArray[np.bool_]] = {}

    def pixels(self, request: int) -> npt.NDArray[np.uint8]:
        """The frame of a request, uint8 [1, height, width, 3]."""
        return self._pictures.frame(int(self._frames[request]))

    def outputs(self, row: AnswerRow, request: int) -> dict[str, npt.NDArray[np.generic]]:
        """The outputs for this frame. Those for all frames are computed at once."""
        if row not in self._known:
            self._known[row] = self._answers.of(row, self._frames)
        return {name: array[request : request + 1] for name, array in self._known[row].items()}

    def little_outputs(self, request: int, precision: Precision) -> dict[str, npt.NDArray[np.generic]]:
        """The little network's outputs for this frame."""
        return dict(self.paired.outputs(self._frames[request : request + 1], precision))

    def is_little_sure(self, request: int, precision: Precision, least: float) -> bool:
        """Whether the little network is sure of this frame."""
        asked = precision, least
        if asked not in self._sure:
            self._sure[asked] = self.paired.is_sure(self._frames, *asked)
        return bool(self._sure[asked][request])

    @property
    def paired(self) -> SimulatedLittle:
        """The little network, where a plan asks it."""
        assert self.little is not None, "only plans of a pair ask"  # noqa: S101
        return self.little
