"""Whether an answer may serve for a picture that is nearly the same, and whether it shows anything."""

from __future__ import annotations

import numpy as np

from collabd.catalog.package.manifest import SURE, Classify, Detect, Manifest, Segment
from collabd.catalog.package.scores import as_classes, confidence
from collabd.tasks.tensors import Outputs

# A box whose score is no further from the threshold may come and go with the noise of the sensor.
_NEAR = 0.02


def is_sure(manifest: Manifest, outputs: Outputs) -> bool:
    """Whether noise will hardly change what is made of these outputs.

    A classifier is sure of a top-1 of 50 % or more, a detector if no box is near its threshold. The map of a segmenter
    does not say how sure it is: only audits do.
    """
    match manifest.task:
        case Classify(output_kind=kind):
            classes = as_classes(np.asarray(outputs[manifest.output_names[0]], np.float32), kind)
            return bool(confidence(classes, kind)[0] >= SURE)
        case Detect(score_threshold=threshold):
            scores = outputs[manifest.output_names[1]]
            return not bool((np.abs(scores - threshold) < _NEAR).any())
    return True


def shows_something(manifest: Manifest, outputs: Outputs) -> bool:
    """Whether there is a box in the answer, or more than one class in its map. Of a classifier it is always true."""
    match manifest.task:
        case Detect(score_threshold=threshold):
            return bool((outputs[manifest.output_names[1]] >= threshold).any())
        case Segment():
            found = outputs[manifest.output_names[0]]
            return bool(found.min() < found.max())
    return True
