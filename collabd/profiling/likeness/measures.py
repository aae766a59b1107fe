"""What fidelity means for each task, in words for reports."""

from __future__ import annotations

# By `manifest.kind_of`.
MEASURES = {
    "classify": "how often the top-1 is the unsplit network's, where that is sure of it",
    "detect": "the F1 score of boxes against the unsplit network's (same class, IoU of 0.5 or more)",
    "segment": "the share of pixels that have the class that the unsplit network gives them",
    "tensors": "1 less the largest change of a value, as a part of the range of its tensor",
}
