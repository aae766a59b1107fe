"""Train a CIFAR-10 network: `python -m models.train alexnet_cifar10 --data PATH --epochs N --out FILE.safetensors`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from models.augment import erase, shift_and_flip
from models.cifar10 import Split, load, normalised
from models.evaluate import top1
from models.networks import CIFAR10_NETWORKS, load_weights, save_weights
from models.recipes import BATCH, RECIPES, Phase, learning_rate, stretched

__all__ = ["epochs", "initialise"]

_SEED = 0


def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers anew (He et al., 2015); their biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def epochs(network: nn.Module, train: Split, phases: Sequence[Phase], *, batch: int = BATCH) -> Iterator[float]:
    """Train in place on the device of `train`; yields the mean loss of each epoch.

    A last batch that is not full is skipped.
    """
    for phase in phases:
        _set_dropout(network, phase.dropout)
        optimizer = _optimizer(network)
        for number in range(phase.epochs):
            yield _epoch(network, train, optimizer, phase=phase, number=number, batch=batch)


def _epoch(
    network: nn.Module, train: Split, optimizer: torch.optim.Optimizer, *, phase: Phase, number: int, batch: int
) -> float:
    network.train()
    order = torch.randperm(len(train), device=train.labels.device)
    picks = torch.split(order[: max(len(order) // batch, 1) * batch], batch)
    total = torch.zeros((), device=order.device)
    for step, pick in enumerate(picks):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(phase, (number + step / len(picks)) / phase.epochs)
        total += _step(network, train.images[pick], train.labels[pick], optimizer=optimizer, phase=phase)
    return float(total) / len(picks)


def _step(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, optimizer: torch.optim.Optimizer, phase: Phase
) -> torch.Tensor:
    pixels = normalised(shift_and_flip(images))
    if phase.square:
        erase(pixels, phase.square, phase.square_every)
    with _autocast(pixels.device):
        logits = network(pixels)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """SGD that decays weights, but neither biases nor norms."""
    parameters = list(network.parameters())
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": 5e-4},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)


def _set_dropout(network: nn.Module, probability: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """Use bf16 if the hardware has it: emulated bf16 is slower than fp32."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16) if supported else nullcontext()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, report each epoch, and save fp16 safetensors."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("network", choices=CIFAR10_NETWORKS)
    parser.add_argument("--data", type=Path, help="folder or zip of the CIFAR-10 JPEGs (else torchvision downloads)")
    parser.add_argument("--epochs", type=int, help="in all (else as in the recipe)")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    given = parser.parse_args(arguments)
    torch.manual_seed(_SEED)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    phases = RECIPES[given.network]
    phases = stretched(phases, given.epochs) if given.epochs else phases
    network = CIFAR10_NETWORKS[given.network]()
    initialise(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, test = (load(given.data, split).to(device) for split in ("train", "test"))
    started = time.monotonic()
    for number, loss in enumerate(epochs(network, train, phases), start=1):
        print(f"epoch {number}: loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)
    save_weights(network, given.out)
    print(f"{given.out}: {top1(load_weights(network, given.out), test):.2%} of {len(test)} test images")


if __name__ == "__main__":
    main()
