"""The CIFAR-10 networks by name, untrained or with the weights that come with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.alexnet_cifar10.model import AlexNet
from models.vgg16_cifar10.model import VGG16

__all__ = ["CIFAR10_NETWORKS", "load_weights", "save_weights", "trained"]

CIFAR10_NETWORKS: Mapping[str, Callable[[], nn.Module]] = {"alexnet_cifar10": AlexNet, "vgg16_cifar10": VGG16}
_HERE = Path(__file__).parent


def trained(name: str) -> nn.Module:
    """The network `name` with its weights, in eval mode."""
    return load_weights(CIFAR10_NETWORKS[name](), _HERE / name / "weights.safetensors").eval()


def load_weights(network: nn.Module, path: Path) -> nn.Module:
    """Load a safetensors file of fp16 into the fp32 parameters of `network`."""
    network.load_state_dict(load_file(path))
    return network


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the state of `network` as safetensors, its floating-point values rounded to fp16."""
    save_file({key: _stored(value) for key, value in network.state_dict().items()}, path)


def _stored(value: torch.Tensor) -> torch.Tensor:
    return (value.half() if value.is_floating_point() else value).cpu().contiguous()
