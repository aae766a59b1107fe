"""The numbers of classes that Frigate expects, which it turns into names by the labelmap of its configuration.

Frigate ships two labelmaps, and its documentation names one for each type of model:

- `/labelmap.txt`, for `ssd` and `rfdetr`: COCO's category numbers, less 1 (0 person, 12 stop sign, 89 toothbrush). It
  has names for the numbers that COCO leaves out too.
- `/labelmap/coco-80.txt`, for `yolox`, `yologeneric`, `yolonas` and `dfine`: the 80 categories in a row (0 person, 11
  stop sign, 79 toothbrush).

A model that Frigate sent answers with its own numbers, as Frigate's own detectors do, whatever they mean. RF-DETR's are
less 1, because Frigate leaves out the first column of its scores before it counts.

A model of this machine has names for its classes. If all 80 of COCO are among them, a class gets the number that its
name has in the labelmap of the type; if not, its own number, and Frigate's labelmap must list the package's classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.coco import COCO_80, COCO_90

# Of a class that Frigate cannot know: it is left out.
UNKNOWN = -1
RFDETR = "rfdetr"
_WITH_GAPS = frozenset({"ssd", RFDETR})


def numbers_of_names(classes: Sequence[str], model_type: str) -> npt.NDArray[np.int64]:
    """Frigate's number of each class of a model of this machine."""
    names = [name.replace("_", " ").casefold() for name in classes]
    if not set(COCO_80) <= set(names):
        return np.arange(len(names))
    labelmap = COCO_90 if model_type in _WITH_GAPS else COCO_80
    return np.array([labelmap.index(name) if name in COCO_80 else UNKNOWN for name in names])


def own_numbers(classes: int, model_type: str) -> npt.NDArray[np.int64]:
    """Frigate's number of each of so many classes of a model that it sent."""
    return np.arange(classes) - (1 if model_type == RFDETR else 0)
