"""The forms in which a caller may have the answer of one network; the outputs that it names say which one."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
import numpy as np
import numpy.typing as npt

from collabd.catalog.package.manifest import Detect, Manifest, Picture, Port, Segment
from collabd.tasks.answering import TaskAnswers, answers_of, raw_answers_of
from collabd.tasks.detect import DetectAnswers
from collabd.tasks.tensors import Outputs

DETECTIONS = "detections"


class AnswerForms:
    """`usual`: the answer of the task. `raw`: the network's outputs. `rows`: of detectors alone."""

    def __init__(self, manifest: Manifest, *, of_input: bool = False) -> None:
        """`of_input`: for a picture that came as the network's input. What is found is then in pixels of the input."""
        seen = _as_network_sees(manifest) if of_input else manifest
        self.raw = raw_answers_of(manifest)
        # A map has the size that the network gives it, since no picture of another size is there.
        self.usual = self.raw if of_input and isinstance(manifest.task, Segment) else answers_of(seen)
        self.rows = DetectionRows(seen) if isinstance(manifest.task, Detect) else None

    def named(self, outputs: Collection[str], *, raw: bool) -> TaskAnswers:
        """The form that has all of these outputs; where none has, the form that a caller gets who names none."""
        usual = self.raw if raw else self.usual
        for form in (usual, self.raw, self.rows):
            if form is not None and {port.name for port in form.ports}.issuperset(outputs):
                return form
        return usual


class DetectionRows:
    """`TaskAnswers`: `detections`, float32 [1, n, 6], for clients that know detectors with suppression inside.

    A row is x1, y1, x2, y2, score and class; scores fall, and rows of zeros fill up the fixed n. Every box that
    suppression leaves is there, however low its score: such clients have a threshold of their own.
    """

    takes_long = False

    def __init__(self, manifest: Manifest) -> None:
        assert isinstance(manifest.task, Detect)  # noqa: S101  others have no boxes
        anything = msgspec.structs.replace(manifest.task, score_threshold=0.0)
        self._most = min(anything.most, manifest.outputs[1].shape[1] or anything.most)
        self._answers = DetectAnswers(anything, manifest.require_picture(), manifest.output_names)
        self.ports = (Port(DETECTIONS, "float32", (1, self._most, 6)),)

    def __call__(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        """The rows for a picture of this width and height."""
        found = self._answers.found(outputs, size)
        rows: npt.NDArray[np.float32] = np.zeros((1, self._most, 6), np.float32)
        together = np.column_stack([found.boxes, found.scores, found.classes])[: self._most]
        rows[0, : len(together)] = together
        return {DETECTIONS: rows}

    def line(self, answer: Outputs) -> Callable[[], str]:
        """How many rows are boxes."""
        count = int((answer[DETECTIONS][0, :, 4] > 0).sum())
        return lambda: f"{count} rows of boxes"


def _as_network_sees(manifest: Manifest) -> Manifest:
    """The same package for pictures that are the network's input already, so that nothing is resized or cropped."""
    picture = manifest.require_picture()
    return msgspec.structs.replace(manifest, picture=Picture(height=picture.height, width=picture.width))
