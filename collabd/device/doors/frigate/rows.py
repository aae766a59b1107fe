"""The rows of an answer to Frigate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collab_sdk.answers import Detections
from collabd.device.doors.frigate.labelmaps import UNKNOWN
from collabd.device.doors.frigate.messages import ROWS
from collabd.tasks.suppression import suppress

# Of two boxes of a class that overlap more, Frigate's own detectors leave out that of the lower score.
IOU_THRESHOLD = 0.4


def once_each(found: Detections) -> Detections:
    """The detections without those that Frigate's own detectors leave out. Scores fall."""
    kept = suppress(found.xyxy, found.confidence, found.class_id, iou_threshold=IOU_THRESHOLD, most=len(found))
    return found[kept]


def rows_of(found: Detections, size: tuple[int, int], numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The first 20 detections in a picture of this width and height, float32 [20, 6]; rows beyond them are zero.

    A row is the class, the score, and top, left, bottom and right in 0..1 of the picture. `numbers`: those of each
    class for Frigate; what has the number `UNKNOWN` is left out.
    """
    kept = found[numbers[found.class_id] != UNKNOWN][: ROWS[0]]
    rows = np.zeros(ROWS, np.float32)
    rows[: len(kept), 0] = numbers[kept.class_id]
    rows[: len(kept), 1] = kept.confidence
    rows[: len(kept), 2:] = (kept.xyxy / np.array(size * 2, np.float32))[:, [1, 0, 3, 2]]
    return rows
