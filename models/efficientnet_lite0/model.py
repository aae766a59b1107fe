"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6, trained on ImageNet by Google."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

__all__ = ["MEAN", "SIDE", "STD", "EfficientNetLite0", "trained"]

SIDE = 224
# TensorFlow's (pixel - 127) / 128, for pixels of 0..1: not the usual ImageNet statistics.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
_STEM = 32
_HEAD = 1280
_EPSILON = 1e-3


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    _Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    _Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    _Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    _Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    _Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    _Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)


class EfficientNetLite0(nn.Module):
    """Float32 [batch, 3, 224, 224] → logits [batch, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, _STEM, kernel=3, stride=2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = _convolution(_STAGES[-1].channels, _HEAD)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(_HEAD, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of images normalised by `MEAN` and `STD`."""
        logits: torch.Tensor = self.classifier(torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1))
        return logits


class InvertedResidual(nn.Module):
    """Widen, convolve each channel separately, narrow; add the input if the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _convolution(inputs, wide) if expansion > 1 else nn.Identity()
        self.depthwise = _convolution(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.project = _convolution(wide, outputs, activation=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [batch, inputs, height, width] to [batch, outputs, height / stride, width / stride]."""
        y: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def trained(path: Path) -> EfficientNetLite0:
    """The network in eval mode with the weights at `path`: a state of the package efficientnet-lite-pytorch.

    That package has the same tensors in the same order, but under other names.
    """
    network = EfficientNetLite0()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), theirs.values(), strict=True)))
    return network.eval()


def _blocks() -> Iterator[InvertedResidual]:
    channels = _STEM
    for stage in _STAGES:
        for number in range(stage.repeats):
            stride = stage.stride if number == 0 else 1
            yield InvertedResidual(
                channels, stage.channels, kernel=stage.kernel, stride=stride, expansion=stage.expansion
            )
            channels = stage.channels


def _convolution(
    inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if stride == 2:
        # TensorFlow's "same" padding of an even side: the odd pixel goes to the end.
        before = (kernel - 2) // 2
        layers["pad"] = nn.ZeroPad2d((before, kernel - 2 - before) * 2)
    padding = 0 if stride == 2 else kernel // 2
    layers["conv"] = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    layers["norm"] = nn.BatchNorm2d(outputs, eps=_EPSILON)
    if activation:
        layers["relu"] = nn.ReLU6()
    return nn.Sequential(layers)
