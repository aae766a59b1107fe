"""What is said of names that nothing has."""

from __future__ import annotations

import pytest

from collabd.did_you_mean import did_you_mean, unknown_model

SHIPPED = ("alexnet_cifar10", "efficientnet_lite0", "vgg16_cifar10")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vgg16", "vgg16_cifar10"),
        ("VGG", "vgg16_cifar10"),
        ("efficientnet-lite0", "efficientnet_lite0"),
        ("efficentnet_lite0", "efficientnet_lite0"),
        ("alexnet_cifar100", "alexnet_cifar10"),
    ],
)
def test_what_was_meant(word: str, meant: str) -> None:
    assert did_you_mean(word, SHIPPED) == f", did you mean {meant!r}?"


@pytest.mark.parametrize("word", ["resnet50", "", "x" * 100_000])
def test_nothing_is_made_up(word: str) -> None:
    assert did_you_mean(word, SHIPPED) == ""
    assert did_you_mean(word, []) == ""


def test_a_model_that_is_not_loaded_is_told_with_those_that_are() -> None:
    said = "no model 'alex' is loaded (these are: alexnet_cifar10, efficientnet_lite0, vgg16_cifar10), "
    assert str(unknown_model("alex", SHIPPED)) == said + "did you mean 'alexnet_cifar10'?"
    assert str(unknown_model("alex", ())) == "no model 'alex' is loaded (these are: none)"
