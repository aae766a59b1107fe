"""Where each layer runs: one letter a layer, D for the device and C for the cloud, and the stages that this makes."""

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

# The cut behind all layers, and what stands for a codec where nothing is sent.
LOCAL_CUT = "output"
NO_CODEC = "none"


@dataclass(frozen=True)
class Stage:
    """Layers `first` up to but not including `last`, on one side."""

    side: Side
    first: int
    last: int

    @cached_property
    def letters(self) -> str:
        """One a layer."""
        return self.side * (self.last - self.first)


def single_cut(head_layers: int, layers: int) -> str:
    """The placement with one crossing: the first `head_layers` on the device."""
    return "D" * head_layers + "C" * (layers - head_layers)


def stages(placement: str) -> tuple[Stage, ...]:
    """The runs of equal letters."""
    return tuple(_runs(placement))


def _runs(placement: str) -> Iterator[Stage]:
    first = 0
    for letter, run in groupby(placement):
        last = first + len(list(run))
        yield Stage("D" if letter == "D" else "C", first, last)
        first = last


def parse_placement(text: str, manifest: Manifest) -> str:
    """A caller's placement, checked. Raises `InvalidPlacement`."""
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
    """How many layers lie before a cut named by a caller: "image", "output", or the layer it is behind."""
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
