"""torchvision's one-stage detectors without the code that makes boxes one by one. Imports torch.

They do not export whole: how many boxes they give depends on the picture. So the backbone and the head are exported,
and behind them the decoder of the family for a picture of fixed size, which ends in the best boxes, always as many.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD

__all__ = ["AnchorDetector"]

_Head = dict[str, torch.Tensor]


class AnchorDetector(nn.Module):
    """Normalised planes of a fixed size → boxes [batch, K, 4], scores [batch, K] falling, classes int32 [batch, K].

    Boxes are x1, y1, x2, y2 in pixels, clipped to the picture. Classes are torchvision's, so 0 is the background. K is
    `most`, or the number of anchors where that is smaller. Before boxes that overlap are suppressed, these are the best
    K of all pairs of an anchor and a class.
    """

    anchors: torch.Tensor
    corner: torch.Tensor
    anchor_of_pair: torch.Tensor
    class_of_pair: torch.Tensor

    def __init__(self, network: SSD | RetinaNet | FCOS, *, height: int, width: int, most: int = 100) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.head = network.head
        self._score, self._first_class = _scoring(network)
        self._decode = _box_coding(network)
        picture = torch.zeros(1, 3, height, width)
        with torch.inference_mode():
            features = self._features(picture)
            anchors = network.anchor_generator(ImageList(picture, [(height, width)]), features)[0]
            classes = self._score(self.head(features)).shape[-1]
        self._most = min(most, len(anchors))
        pairs = torch.arange(self._most * classes)
        self.register_buffer("anchors", anchors.clone())
        self.register_buffer("corner", torch.tensor([width, height, width, height], dtype=torch.float32))
        self.register_buffer("anchor_of_pair", pairs // classes)
        self.register_buffer("class_of_pair", (pairs % classes + self._first_class).to(torch.int32))

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run and decode.

        A pair among the best K has an anchor among the K whose best class is best, so only those are looked at closely.
        """
        made: _Head = self.head(self._features(planes))
        scores = self._score(made)
        _, best = scores.amax(-1).topk(self._most, 1)
        scores, pairs = _rows(scores, best).flatten(1).topk(self._most, 1)
        chosen = best.gather(1, self.anchor_of_pair[pairs])
        boxes = self._decode(_rows(made["bbox_regression"], chosen), self.anchors[chosen])
        return torch.minimum(boxes.clamp(min=0), self.corner), scores, self.class_of_pair[pairs]

    def _features(self, planes: torch.Tensor) -> list[torch.Tensor]:
        return list(self.backbone(planes).values())


def _rows(table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """The rows [batch, K, n] of `table` [batch, N, n] that `indices` [batch, K] name."""
    return table.gather(1, indices.unsqueeze(-1).expand(-1, -1, table.shape[-1]))


def _scoring(network: nn.Module) -> tuple[Callable[[_Head], torch.Tensor], int]:
    """From what the head makes to scores [batch, anchors, classes], and the number of the first of these classes."""
    if isinstance(network, SSD):
        return lambda made: made["cls_logits"].softmax(-1)[..., 1:], 1
    if isinstance(network, FCOS):
        return lambda made: (made["cls_logits"].sigmoid() * made["bbox_ctrness"].sigmoid()).sqrt(), 0
    return lambda made: made["cls_logits"].sigmoid(), 0


def _box_coding(network: SSD | RetinaNet | FCOS) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """From what the head says of boxes, and their anchors, to boxes; each [batch, K, 4]."""
    if isinstance(network, FCOS):
        return _distances
    weights, most = network.box_coder.weights, network.box_coder.bbox_xform_clip
    return lambda said, anchors: _shifts(said / torch.tensor(weights), anchors, most=most)


def _distances(said: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """FCOS: from the anchor's centre to the four sides, in sides of the anchor."""
    centre, size = _centre_and_size(anchors)
    before, behind = torch.split(said, 2, -1)
    return torch.cat([centre - before * size, centre + behind * size], -1)


def _shifts(said: torch.Tensor, anchors: torch.Tensor, *, most: float = math.inf) -> torch.Tensor:
    """SSD and RetinaNet: how far the centre is off, in sides of the anchor, and the logarithm of the growth."""
    centre, size = _centre_and_size(anchors)
    shift, growth = torch.split(said, 2, -1)
    centre = centre + shift * size
    half = growth.clamp(max=most).exp() * size / 2
    return torch.cat([centre - half, centre + half], -1)


def _centre_and_size(anchors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first, last = torch.split(anchors, 2, -1)
    return (first + last) / 2, last - first
