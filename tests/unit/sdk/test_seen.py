"""What is seen in an answer, and what of it is no flicker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collab_sdk.errors import WrongTask
from collab_sdk.mock import mock_detections, mock_mask, mock_outputs, mock_result
from collab_sdk.result import Plan
from collab_sdk.seen import IN_A_ROW, Scene, SeenThing, Steady, seen_in, where_ran

BOX = (0.0, 0.0, 9.0, 9.0)


def test_each_task_in_a_few_words() -> None:
    assert str(seen_in(mock_result({"cat": 0.9, "dog": 0.1}))) == "cat 0.90"
    found = [("person", 0.91, BOX), ("tie", 0.52, BOX), ("person", 0.6, BOX)]
    assert str(seen_in(mock_detections(found))) == "2 person 0.91, tie 0.52"
    assert str(seen_in(mock_detections([]))) == "nothing"
    mask = np.zeros((10, 100), np.uint8)
    mask[:, :25], mask[0, 99] = 1, 2
    assert str(seen_in(mock_mask(mask, ["background", "person", "dust"]))) == "person 0.25"
    with pytest.raises(WrongTask, match="answers with tensors"):
        seen_in(mock_outputs({"y": np.zeros(3, np.float32)}))


def test_where_it_ran() -> None:
    alone = mock_result({"cat": 1.0})
    split = replace(alone, ran="DC", plan=Plan(cut="x", codec="q8", placement="DC", cloud="pc", reason="chosen"))
    assert where_ran(alone) == "device"
    assert where_ran(split) == "pc"
    assert where_ran(replace(split, ran="DD")) == "device"
    assert where_ran(replace(alone, ran="", inherited_age_s=1.0)) == "inherited"


def seen(text: str) -> Scene:
    """ "pp d" is two persons and a dog."""
    return Scene(tuple(SeenThing(word[0], len(word), 0.5) for word in text.split()))


@pytest.mark.parametrize(
    ("pictures", "told"),
    [
        (["p"], ["p"]),
        ([""], [""]),
        (["p", "", "", "p", "", ""], ["p"]),
        (["p", "", "", ""], ["p", ""]),
        # What flickers beside it does not hold a change up.
        (["p x", "x", "", "x y", "y", "x y"], ["p x", "x", "x y"]),
        (["p", "pp", "p", "pp", "pp", "pp"], ["p", "pp"]),
        # Each of them changes something, none three times in a row.
        (["p", "pp", "ppp", "pp", "ppp"], ["p"]),
        (["", "p", "p", "p", "p d", "p d", "p d"], ["", "p", "p d"]),
    ],
)
def test_a_change_takes_some_pictures_in_a_row(pictures: list[str], told: list[str]) -> None:
    steady = Steady()
    heard = [steady.seen.counts for picture in pictures if steady.is_changed_by(seen(picture))]
    assert heard == [seen(each).counts for each in told]
    assert IN_A_ROW == 3


def test_the_sureness_is_that_of_the_newest_picture() -> None:
    steady = Steady()
    for sureness in (0.5, 0.7):
        steady.is_changed_by(Scene((SeenThing("p", 1, sureness),)))
    assert str(steady.seen) == "p 0.70"
