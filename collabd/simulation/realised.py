"""The fidelity that the answers of a simulation really had, beside what their plans promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Manifest
from collabd.profiling.likeness.likeness import likeness_of
from collabd.simulation.answers import UNSPLIT, AnswerRow, Answers
from collabd.simulation.little import SimulatedLittle
from collabd.simulation.pictures import TAKES, Frames, SimulatedCamera
from collabd.simulation.world import Outcome
from collabd.tasks.tensors import Outputs

# So many orders of the pictures are tried.
SPLITS = 20


class RealisedFidelity(TypedDict):
    """Over the splits: the mean, and the least of them."""

    mean: float
    least: float


class _Way(NamedTuple):
    """How a request is answered. `asked`: a little network in this precision, if so sure; None: it is not asked."""

    row: AnswerRow
    asked: tuple[Precision, float] | None

    @classmethod
    def of(cls, outcome: Outcome) -> _Way:
        little = outcome.plan.little
        return cls(
            AnswerRow.of_plan(outcome.plan, finished_here=outcome.late),
            None if little is None else (little.precision, little.least),
        )


def _or_else(inherited_from: int | None, at: int) -> int:
    return at if inherited_from is None else inherited_from


class Judge:
    """Compares the answer to each request with the unsplit network's for the same frame."""

    def __init__(
        self, manifest: Manifest, camera: SimulatedCamera, *, answers: Answers, little: SimulatedLittle | None = None
    ) -> None:
        self._manifest = manifest
        self._little = little
        self._camera = camera
        self._answers = answers

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return len(self._camera.pictures)

    def realised(self, outcomes: Sequence[Outcome]) -> RealisedFidelity | None:
        """The share of answers that are the unsplit network's, of those that tell something of fidelity.

        None: a plan had several crossings.
        """
        # The request that was really answered.
        origins = np.array([_or_else(outcome.inherited_from, at) for at, outcome in enumerate(outcomes)])
        ways = [_Way.of(outcomes[origin]) for origin in origins]
        if not all(self._answers.has(way.row) for way in {*ways}):
            return None
        shares = [self._share(ways, origins, self._camera.frames(split)) for split in range(SPLITS)]
        return RealisedFidelity(mean=float(np.mean(shares)), least=min(shares))

    def _share(self, ways: Sequence[_Way], origins: npt.NDArray[np.intp], frames: Frames) -> float:
        sizes = [self._camera.pictures.sizes[frame // TAKES] for frame in frames]
        likeness = likeness_of(self._manifest, self._answers.of(UNSPLIT, frames), sizes)
        shares = likeness.shares(self._given(ways, frames[origins]), 0)
        telling = likeness.telling(shares)
        return float(shares[telling, 0].mean()) if telling.any() else 1.0

    def _given(self, ways: Sequence[_Way], frames: Frames) -> Outputs:
        """What each request was answered."""
        given: dict[str, npt.NDArray[Any]] = {}
        for way in {*ways}:
            of_way = np.array([each == way for each in ways])
            for name, array in self._answered(way, frames[of_way]).items():
                given.setdefault(name, np.empty((len(frames), *array.shape[1:]), array.dtype))[of_way] = array
        return given

    def _answered(self, way: _Way, frames: Frames) -> Outputs:
        """What a little network is sure of it answers, even if another answer would have come sooner."""
        answered = self._answers.of(way.row, frames)
        if self._little is None or way.asked is None:
            return answered
        precision, least = way.asked
        sure = self._little.is_sure(frames, precision, least)
        # Both networks have one output, with the same labels.
        ((name, scores),) = answered.items()
        (little_scores,) = self._little.outputs(frames, precision).values()
        return {name: np.where(sure[:, np.newaxis], little_scores, scores)}
