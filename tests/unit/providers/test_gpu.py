"""CUDA and TensorRT, where onnxruntime-gpu is installed and a GPU is there."""

from __future__ import annotations

import pytest

from collab_sdk.vocabulary import Provider
from collabd.catalog.package.package import Package
from collabd.engine import why_missing
from collabd.providers.apart import try_apart

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("provider", [Provider.CUDA, Provider.TENSORRT])
def test_it_computes_what_the_cpus_provider_does(tiny_package: Package, provider: Provider) -> None:
    if reason := why_missing(provider):
        pytest.skip(reason)
    assert try_apart(provider, tiny_package.path, 1) == ""
