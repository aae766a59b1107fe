from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.alexnet_cifar10.model import AlexNet, PairwiseResponseNorm
from models.networks import CIFAR10_NETWORKS, load_weights, save_weights, trained
from models.vgg16_cifar10.model import VGG16


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_the_pairwise_norm_is_pytorchs_local_response_norm_of_size_2(channels: int) -> None:
    x = torch.randn((3, channels, 5, 4), generator=torch.Generator().manual_seed(0)) * 30
    theirs = nn.LocalResponseNorm(2, alpha=1e-4, beta=0.75, k=2)
    torch.testing.assert_close(PairwiseResponseNorm()(x), theirs(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        PairwiseResponseNorm(alpha=0.5, beta=0.3, k=1)(x),
        nn.LocalResponseNorm(2, alpha=0.5, beta=0.3, k=1)(x),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(("name", "parts"), [("alexnet_cifar10", (15, 5)), ("vgg16_cifar10", (44, 7))])
def test_every_layer_is_a_module_of_its_own(name: str, parts: tuple[int, int]) -> None:
    network = CIFAR10_NETWORKS[name]()
    paths = {path for path, _ in network.named_modules()}
    for part, count in zip(("features", "classifier"), parts, strict=True):
        assert {f"{part}.{number}" for number in range(count)} <= paths
        assert f"{part}.{count}" not in paths


def test_alexnet_runs_in_the_founding_systems_order() -> None:
    kinds = [type(layer).__name__ for layer in AlexNet().features]
    block = ["Conv2d", "ReLU", "PairwiseResponseNorm", "MaxPool2d"]
    assert kinds == [*block, *block, *["Conv2d", "ReLU"] * 3, "MaxPool2d"]


@pytest.mark.parametrize("network", [AlexNet, VGG16])
def test_ten_logits_come_out_and_every_weight_takes_part(network: type[AlexNet | VGG16]) -> None:
    module = network().train()
    logits = module(torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(1)))
    assert logits.shape == (2, 10)
    assert logits.dtype == torch.float32
    torch.autograd.backward(logits.square().sum())
    assert all(weight.grad is not None for weight in module.parameters())


@pytest.mark.parametrize("name", CIFAR10_NETWORKS)
def test_the_weights_are_halves_and_compute_as_floats(name: str) -> None:
    stored = load_file(Path(__file__).parents[3] / "models" / name / "weights.safetensors")
    assert {value.dtype for value in stored.values()} <= {torch.float16, torch.int64}
    network = trained(name)
    assert not network.training
    for key, value in network.state_dict().items():
        assert value.dtype in {torch.float32, torch.int64}
        assert torch.equal(value, stored[key].to(value.dtype))


def test_saved_weights_come_back_rounded_to_halves(tmp_path: Path) -> None:
    network = AlexNet().to(memory_format=torch.channels_last)
    save_weights(network, tmp_path / "w.safetensors")
    again = load_weights(AlexNet(), tmp_path / "w.safetensors")
    for before, after in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(before.half().float(), after)
    assert (tmp_path / "w.safetensors").stat().st_size < 1_600_000


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        load_weights(AlexNet(), tmp_path / "w.safetensors")
