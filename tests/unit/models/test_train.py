from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from models import evaluate, train
from models.alexnet_cifar10.model import AlexNet
from models.cifar10 import Split, load
from models.evaluate import top1
from models.networks import load_weights
from models.recipes import Phase
from models.vgg16_cifar10.model import VGG16


@pytest.fixture(scope="module")
def few(cifar_folder: Path) -> Split:
    return load(cifar_folder, "train")


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def test_training_learns_and_reports_the_loss_of_each_epoch(few: Split) -> None:
    torch.manual_seed(0)
    network = small()
    train.initialise(network)
    losses = list(train.epochs(network, few, [Phase(epochs=40, peak=0.1, rising=0.2)], batch=10))
    assert len(losses) == 40
    assert losses[-1] < 0.7 * losses[0]
    assert top1(network, few) > 0.6


def test_equal_seeds_train_equal_networks(few: Split) -> None:
    def run() -> float:
        torch.manual_seed(3)
        network = small()
        return list(train.epochs(network, few, [Phase(epochs=2, peak=0.1, rising=0.2, dropout=0.5)], batch=10))[-1]

    assert run() == run()


def test_each_phase_sets_its_dropout(few: Split) -> None:
    network = small()
    phases = [
        Phase(epochs=2, peak=0.01, rising=0.5, dropout=0.3, square=8),
        Phase(epochs=1, peak=0.01, rising=0.5, dropout=0.2, square=6, square_every=2),
    ]
    dropout = next(layer for layer in network if isinstance(layer, nn.Dropout))
    assert [dropout.p for _ in train.epochs(network, few, phases, batch=16)] == [0.3, 0.3, 0.2]


def test_weights_decay_and_biases_and_norms_do_not() -> None:
    network = VGG16()
    decayed, spared = train._optimizer(network).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (5e-4, 0.0)
    assert all(weight.ndim > 1 for weight in decayed["params"])
    assert len(decayed["params"]) == 16
    assert len(decayed["params"]) + len(spared["params"]) == len(list(network.parameters()))


def test_initialisation_keeps_the_signal_from_fading() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(*(layer for _ in range(10) for layer in (nn.Linear(256, 256), nn.ReLU())))
    train.initialise(layers)
    with torch.inference_mode():
        deviation = float(layers(torch.randn(64, 256)).std())
    assert 0.2 < deviation < 5


def test_top1_counts_over_uneven_batches() -> None:
    images = torch.zeros((7, 3, 32, 32), dtype=torch.uint8)
    last = nn.Linear(3 * 32 * 32, 10)
    nn.init.zeros_(last.weight)
    last.bias.data = torch.eye(10)[2]
    always_two = nn.Sequential(nn.Flatten(), last)
    assert top1(always_two, Split(images, torch.tensor([2, 2, 2, 0, 1, 2, 2])), batch=3) == pytest.approx(5 / 7)


def test_the_command_trains_saves_and_says_how_well(
    cifar_zip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "alexnet.safetensors"
    train.main(["alexnet_cifar10", "--data", str(cifar_zip), "--epochs", "1", "--out", str(out)])
    said = capsys.readouterr().out
    assert re.search(r"^epoch 1: loss \d+\.\d{3}, \d+ s$", said, re.MULTILINE)
    stated = re.search(r"(\d+\.\d\d%) of 30 test images$", said)
    assert stated
    load_weights(AlexNet(), out)
    evaluate.main(["alexnet_cifar10", "--data", str(cifar_zip), "--weights", str(out)])
    assert capsys.readouterr().out == f"alexnet_cifar10: {stated[1]} of 30 test images\n"
