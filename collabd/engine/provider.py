"""The execution providers of ONNX Runtime, and how a session is given one."""

from __future__ import annotations

import json
from typing import Any

import onnxruntime as ort

from collab_sdk.vocabulary import Precision, Provider

from .processor import multiplies_bf16

CPU_ALONE = (Provider.CPU,)
_NAMES = {
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
    Provider.OPENVINO: "OpenVINOExecutionProvider",
    Provider.CPU: "CPUExecutionProvider",
}
# Those that make bf16 of an fp32 graph, where the processor has it.
_REDUCING = frozenset({Provider.OPENVINO})
_PACKAGES = {
    Provider.CUDA: "onnxruntime-gpu",
    Provider.TENSORRT: "onnxruntime-gpu",
    Provider.OPENVINO: "onnxruntime-openvino",
    Provider.CPU: "onnxruntime",
}


def why_missing(provider: Provider) -> str:
    """Why the installed runtime has no such provider; empty: it has one, which may fail to load all the same."""
    if name_of(provider) in ort.get_available_providers():
        return ""
    return f"the installed ONNX Runtime {ort.__version__} is built without it; {_PACKAGES[provider]} has it"


def name_of(provider: Provider) -> str:
    """What the runtime calls it."""
    return _NAMES[provider]


def reduced_by(provider: Provider) -> Precision | None:
    """What the provider makes of an fp32 graph on this machine, if it is told to; None: nothing but fp32."""
    return Precision.BF16 if provider in _REDUCING and multiplies_bf16() else None


def arguments_of(
    provider: Provider, threads: int, precision: Precision = Precision.FP32
) -> list[tuple[str, dict[str, Any]]]:
    """What a session is built with: the providers and their options. What none of them takes, the CPU's computes.

    They compute in the precision that they are told: OpenVINO would take bf16 wherever the processor has it, CUDA TF32.
    Raises `ValueError` if the provider does not make this precision of an fp32 graph.
    """
    if precision.is_reduced and provider not in _REDUCING:
        raise ValueError(f"{name_of(provider)} does not compute in {precision}")
    cuda = (name_of(Provider.CUDA), {"use_tf32": "0"})
    match provider:
        case Provider.CUDA:
            return [cuda]
        case Provider.TENSORRT:
            return [(name_of(provider), {"trt_fp16_enable": "0"}), cuda]
        case Provider.OPENVINO:
            # Its threads are its own. One stream: the lanes of the daemon run side by side as it is.
            hint = "bf16" if precision == Precision.BF16 else "f32"
            told = {"CPU": {"INFERENCE_PRECISION_HINT": hint, "ENABLE_CPU_PINNING": "NO"}}
            options = {"device_type": "CPU", "num_of_threads": str(threads), "num_streams": "1"}
            return [(name_of(provider), options | {"load_config": json.dumps(told)})]
    return [(name_of(Provider.CPU), {})]
