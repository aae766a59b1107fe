"""The AlexNet for CIFAR-10 of the founding system."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["AlexNet", "PairwiseResponseNorm"]


class PairwiseResponseNorm(nn.Module):
    """Local response normalisation over a channel and the one before it (AlexNet's LRN, at a size of 2).

    Computes the same as `nn.LocalResponseNorm(2, alpha, beta, k)`, by shift and add: on a CPU this trains many times
    faster than PyTorch's version, which pools in three dimensions. Keeps shape and dtype.
    """

    def __init__(self, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x of shape [batch, channels, height, width]."""
        squares = x * x
        before = functional.pad(squares, (0, 0, 0, 0, 1, 0))[:, :-1]
        return x / (self.k + self.alpha / 2 * (squares + before)) ** self.beta


class AlexNet(nn.Module):
    """Five convolutions and three linear layers; float32 [batch, 3, 32, 32] → logits [batch, 10]."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=1),
            nn.ReLU(),
            PairwiseResponseNorm(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 64, 5, padding=1),
            nn.ReLU(),
            PairwiseResponseNorm(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(512, 384), nn.ReLU(), nn.Linear(384, 192), nn.ReLU(), nn.Linear(192, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalised images."""
        logits: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
