"""What a model gives before anything is built of it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime


def reference_scores(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """The scores, float32 [images, labels], of `model` as given, run image by image."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[np.newaxis]})[0] for image in images])
