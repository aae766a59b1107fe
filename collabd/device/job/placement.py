"""Placements: one letter for each layer, D for the device and C for the companion; and the stages of a placement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal

from collab_sdk.errors import InvalidPlacement
from collabd.catalog.package.manifest import Manifest
from collabd.did_you_mean import did_you_mean

Side = Literal["D", "C"]

# The name of the cut behind the last layer, and the name that stands for a codec when nothing is sent.
LOCAL_CUT = "output"
NO_CODEC = "none"


@dataclass(frozen=True)
class Stage:
    """The layers from `first` up to, but not including, `last`. All of them run on one side."""

    side: Side
    first: int
    last: int

    @cached_property
    def letters(self) -> str:
        """The part of the placement for this stage: one letter for each layer."""
        return self.side * (self.last - self.first)


def single_cut(head_layers: int, layers: int) -> str:
    """The placement with the first `head_layers` of `layers` on the device, and the others on the companion."""
    return "D" * head_layers + "C" * (layers - head_layers)


def stages(placement: str) -> tuple[Stage, ...]:
    """The stages of a placement: one for each run of equal letters."""
    return tuple(_runs(placement))


def _runs(placement: str) -> Iterator[Stage]:
    first = 0
    for letter, run in groupby(placement):
        last = first + len(list(run))
        yield Stage("D" if letter == "D" else "C", first, last)
        first = last


def parse_placement(text: str, manifest: Manifest) -> str:
    """Check a caller's placement and return it. Raises `InvalidPlacement`."""
    wrong = sorted(set(text) - set("DC"))
    if wrong:
        raise InvalidPlacement(f"a placement has only the letters D (device) and C (companion), not {wrong[0]!r}")
    if len(text) != len(manifest.layers):
        raise InvalidPlacement(
            f"{manifest.name} has {len(manifest.layers)} layers, but the placement has {len(text)} letters "
            f"(`collabctl models show {manifest.name}` lists the layers)"
        )
    return text


def head_layers_of(cut: str, manifest: Manifest) -> int:
    """How many layers come before the cut that a caller named. Raises `InvalidPlacement`.

    The name is "image" or "inputs" (the first cut), "output", or the name of the layer in front of the cut.
    """
    if cut == manifest.cuts[0].name:
        return 0
    if cut == "output":
        return len(manifest.layers)
    for index, layer in enumerate(manifest.layers):
        if layer.name == cut:
            return index + 1
    candidates = (*(cut.name for cut in manifest.cuts), "output")
    names, known = (*candidates, *(layer.name for layer in manifest.layers)), ", ".join(candidates)
    raise InvalidPlacement(
        f"{manifest.name} has no cut {cut!r} (the candidate cuts are {known}, and the name of any layer is a cut)"
        f"{did_you_mean(cut, names)}"
    )


def inherit_codec(rung: int) -> str:
    """What stands for a codec where an answer is inherited: by how many of 255 levels the pictures may differ."""
    return f"below{rung}"
