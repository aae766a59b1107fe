"""A stand-in for a provider that computes in bf16, on any processor: weights and features are rounded to 8 bits.

It is OpenVINO by name, whatever runtime is installed. What it computes differs from fp32 as bf16 does. In fp32 it is
slower, so that bf16 is worth it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.manifest import Agreement
from collabd.cloud import server
from collabd.engine import Engine, Part, ProviderFailed, Session, Stop
from collabd.profiling.profile import Profile, VariantTimes
from collabd.providers.choice import Providers

_SLOWER_S = 3e-3
COUNTED = Agreement(agreed=26, images=26, sure_agreed=26, sure_images=26)


def to_bf16(array: np.ndarray) -> np.ndarray:
    """The nearest numbers with 8 significant bits."""
    if array.dtype != np.float32:
        return array
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).astype(np.uint32).view(np.float32)


class _Rounded(NamedTuple):
    model: bytes
    constants: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def _rounded(part: Part) -> _Rounded:
    model = onnx.load_model_from_string(part.model)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.data_location != onnx.TensorProto.EXTERNAL:
            tensor.CopyFrom(numpy_helper.from_array(to_bf16(numpy_helper.to_array(tensor)), tensor.name))
    constants, weights = (
        {name: to_bf16(array) for name, array in arrays.items()} for arrays in (part.constants, part.weights)
    )
    return _Rounded(model.SerializeToString(), constants, weights)


class StandIn(Session):
    """Computes with the CPU's provider, in bf16 with what was rounded, unless it is to fail in that."""

    failing = False

    def __init__(self, part: Part, threads: int, provider: Provider, *, precision: Precision) -> None:
        super().__init__(_rounded(part) if precision == Precision.BF16 else part, threads)
        assert precision == Precision.FP32 or provider == Provider.OPENVINO
        self._provider, self._precision = provider, precision

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        if self._precision == Precision.FP32:
            if self._provider == Provider.OPENVINO:
                time.sleep(_SLOWER_S)
            return super().run(feeds, outputs, stop)
        if StandIn.failing:
            raise ProviderFailed("out of memory")
        return super().run({name: to_bf16(array) for name, array in feeds.items()}, outputs, stop)


def _counted(provider: Provider, directory: Path, threads: int, *, precision: Precision) -> Agreement:
    return COUNTED


@contextmanager
def companions_compute_bf16() -> Iterator[None]:
    """The companions that begin meanwhile have such a provider, if their configuration names OpenVINO."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StandIn, "failing", False)
        patch.setattr(server, "Engine", partial(Engine, new_session=StandIn))
        providers = partial(
            Providers,
            try_out=lambda *_: "",
            count_in=_counted,
            reduced_by=lambda provider: Precision.BF16 if provider == Provider.OPENVINO else None,
        )
        patch.setattr(server, "Providers", providers)
        there = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
        patch.setattr(onnxruntime, "get_available_providers", lambda: there)
        yield


def in_bf16(profile: Profile, factor: float = 0.5, agreement: Agreement = COUNTED) -> Profile:
    """The profile of a companion on which bf16 takes `factor` times as long as fp32."""
    cuts = tuple(
        msgspec.structs.replace(times, bf16=VariantTimes(times.head_ms * factor, times.tail_ms * factor))
        for times in profile.cuts
    )
    return msgspec.structs.replace(
        profile, cuts=cuts, whole_bf16_ms=profile.whole_ms * factor, bf16_agreement=agreement
    )
