"""Sessions of ONNX Runtime alone, to compare the engine with."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from collabd.engine.processor import adds_exactly


def plain_session(model: bytes | str | Path) -> ort.InferenceSession:
    """One thread, on the CPU, with integers that do not overflow: by default they do on x86-64 without VNNI."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "0" if adds_exactly() else "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
