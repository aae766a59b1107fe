"""torchvision's segmenters up to the class of each cell of their grid. Imports torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision.models.segmentation import LRASPP

__all__ = ["ClassMap"]


class ClassMap(nn.Module):
    """Normalised planes [batch, 3, height, width] → the class of each cell, uint8 [batch, h, w].

    h and w are those of the network's own grid, an 8th or a 16th of the picture's. A segmenter of torchvision enlarges
    the scores of all classes to the picture's size; that is left out, and so is the output that only training needs.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.classifier = network.classifier
        self._reads_all = isinstance(network, LRASPP)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Run and choose the class of the highest score."""
        features = self.backbone(planes)
        scores: torch.Tensor = self.classifier(features if self._reads_all else features["out"])
        return scores.argmax(1).to(torch.uint8)
