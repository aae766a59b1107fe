"""VGG16 with BatchNorm for CIFAR-10."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["VGG16"]

# Channels of the 3x3 convolutions between the poolings: configuration D of Simonyan and Zisserman, 2014.
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """Thirteen convolutions and three linear layers; float32 [batch, 3, 32, 32] → logits [batch, 10]."""

    def __init__(self, classes: int = 10, dropout: float = 0.1) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features())
        self.classifier = nn.Sequential(
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalised images."""
        logits: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def _features() -> Iterator[nn.Module]:
    channels = 3
    for block in _BLOCKS:
        for width in block:
            yield from (nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            channels = width
        yield nn.MaxPool2d(2)
