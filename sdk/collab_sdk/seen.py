"""What a camera sees, in the few words that tell whether it has changed: for lines, logs and home automation.

>>> from collab_sdk.mock import mock_detections
>>> from collab_sdk.seen import seen_in
>>> found = [("person", 0.91, (0, 0, 9, 9)), ("tie", 0.5, (0, 0, 2, 2)), ("person", 0.6, (5, 5, 9, 9))]
>>> result = mock_detections(found)
>>> str(seen_in(result)), seen_in(result).counts
('2 person 0.91, tie 0.50', {'person': 2, 'tie': 1})
"""

from __future__ import annotations

from dataclasses import dataclass

from collab_sdk.answers import Classification, Detections, Segmentation, is_background
from collab_sdk.errors import WrongTask
from collab_sdk.result import Result

__all__ = ["DEVICE", "INHERITED", "IN_A_ROW", "Scene", "SeenThing", "Steady", "seen_in", "where_ran"]

DEVICE = "device"
INHERITED = "inherited"
# Pictures that must agree on a change.
IN_A_ROW = 3
# A class of a mask that covers less of the picture is not seen.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class SeenThing:
    """A class that is in the picture. ``count``: how many objects; 1 where the network does not count.

    ``sureness``: the confidence of the surest object, or the probability of a label; of a mask the share of the
    picture. 0..1.
    """

    name: str
    count: int
    sureness: float

    def __str__(self) -> str:
        return f"{self.count} {self.name} {self.sureness:.2f}" if self.count > 1 else f"{self.name} {self.sureness:.2f}"


@dataclass(frozen=True)
class Scene:
    """What is in the picture, the surest first."""

    things: tuple[SeenThing, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each class."""
        return {each.name: each.count for each in self.things}

    def __str__(self) -> str:
        return ", ".join(map(str, self.things)) or "nothing"


def seen_in(result: Result) -> Scene:
    """What a classifier, a detector or a segmenter saw. `WrongTask`: the network answers with tensors."""
    match result.answer:
        case Classification(label=label, score=score):
            return Scene((SeenThing(label, 1, score),))
        case Detections() as found:
            names = found.class_name
            surest = dict(zip(reversed(names), found.confidence[::-1].tolist(), strict=True))
            return Scene(tuple(SeenThing(name, names.count(name), surest[name]) for name in dict.fromkeys(names)))
        case Segmentation() as mask:
            shares = [each for each in mask.shares() if each[1] >= _LEAST_SHARE and not is_background(each[0])]
            return Scene(tuple(SeenThing(name, 1, share) for name, share in shares))
    raise WrongTask(f"{result.model} answers with tensors: what they show, only your program knows")


def where_ran(result: Result) -> str:
    """The name of the companion that had a part in the answer, "device", or "inherited" from an earlier picture."""
    if result.inherited_age_s is not None:
        return INHERITED
    return (result.ran_on or result.plan.cloud or DEVICE) if "C" in result.ran else DEVICE


class Steady:
    """What a camera sees without the flicker of a network that is not quite sure.

    A class comes, goes, or changes its count once `IN_A_ROW` pictures in a row say so; the first picture is believed.
    ``seen``: what holds now, each class with its sureness in the newest picture that shows it.
    """

    def __init__(self) -> None:
        self.seen = Scene(())
        self._things: dict[str, SeenThing] = {}
        self._has_begun = False
        # For each class what pictures say against what holds: another count, and how many in a row say that one.
        self._against: dict[str, tuple[int, int]] = {}

    def is_changed_by(self, seen: Scene) -> bool:
        """Take in the next picture. Whether what holds is another now."""
        new = {each.name: each for each in seen.things}
        needed, self._has_begun = IN_A_ROW if self._has_begun else 1, True
        is_changed = needed == 1
        for name in new.keys() | self._things.keys():
            count, held = (each[name].count if name in each else 0 for each in (new, self._things))
            said, times = self._against.pop(name, (count, 0))
            times = times + 1 if said == count else 1
            if count != held and times < needed:
                self._against[name] = (count, times)
            elif count == 0:
                is_changed |= self._things.pop(name, None) is not None
            else:
                is_changed |= count != held
                self._things[name] = new[name]
        self._against = {name: said for name, said in self._against.items() if name in new or name in self._things}
        self.seen = Scene(tuple(sorted(self._things.values(), key=lambda each: -each.sureness)))
        return is_changed
