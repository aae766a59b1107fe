"""Top-1 of a CIFAR-10 network in PyTorch: `python -m models.evaluate alexnet_cifar10 --data PATH`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from models.cifar10 import Split, load, normalised
from models.networks import CIFAR10_NETWORKS, load_weights, trained

__all__ = ["top1"]


@torch.inference_mode()
def top1(network: nn.Module, split: Split, batch: int = 250) -> float:
    """The share (0..1) of the images whose highest logit is their class. Leaves the network in eval mode."""
    network.eval()
    hits = 0
    for images, labels in zip(torch.split(split.images, batch), torch.split(split.labels, batch), strict=True):
        hits += int((network(normalised(images)).argmax(1) == labels).sum())
    return hits / len(split)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the top-1 over the test images."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    parser.add_argument("network", choices=CIFAR10_NETWORKS)
    parser.add_argument("--data", type=Path, help="folder or zip of the CIFAR-10 JPEGs (else torchvision downloads)")
    parser.add_argument("--weights", type=Path, help="safetensors file (else the one that comes with the network)")
    given = parser.parse_args(arguments)
    if given.weights:
        network = load_weights(CIFAR10_NETWORKS[given.network](), given.weights)
    else:
        network = trained(given.network)
    test = load(given.data, "test")
    print(f"{given.network}: {top1(network, test):.2%} of {len(test)} test images")


if __name__ == "__main__":
    main()
