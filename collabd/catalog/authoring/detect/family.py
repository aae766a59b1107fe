"""What all families of detectors have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.foreign.image_input import ChannelOrder
from collabd.catalog.package.manifest import Rule

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# So much of itself no box has in common with another, so nothing is suppressed.
NO_SUPPRESSION = 1.0


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What the reference of a family does around its network. A user may say otherwise.

    `mean` and `std`: of R, G and B in 0..1, whatever the order of the channels. `pad`: grey of the letterboxes, 0..255.
    """

    score_threshold: float = 0.4
    iou_threshold: float = 0.45
    rule: Rule = "stretch"
    pad: int = 114
    order: ChannelOrder = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Boxes(NamedTuple):
    """The tensors of the best K boxes: corners [batch, K, 4] in pixels, scores [batch, K], classes [batch, K].

    `number`: K.
    """

    boxes: str
    scores: str
    classes: str
    number: int


class Decoder(Protocol):
    """The decoder for the outputs of one graph."""

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""

    @property
    def said(self) -> str:
        """What else was found, in words."""

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Append the nodes that make the best boxes, at most `most`, of the outputs."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Detectors with outputs of the same kind. `name`: for the command line; `title`: for sentences.

    `expects` says in words what the outputs must be. `fit` gives the decoder where they are so, else None. `telling`
    says whether they also have what only this family has, for outputs that have no name and fit others as well.
    """

    name: str
    title: str
    preset: Preset
    expects: Callable[[Heads], str]
    fit: Callable[[Heads], Decoder | None]
    telling: Callable[[Heads], bool] = lambda _: True
