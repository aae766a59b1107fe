"""Pictures with the detail of photographs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Encode = Callable[..., bytes]


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Soft shapes and noise, as from a camera, and the same every time."""
    rng = np.random.default_rng(3)
    shapes = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC))
    return (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def jpeg() -> Encode:
    """Makes a JPEG of a photograph of 120 x 160 pixels; the options are Pillow's."""

    def encode(mode: str = "RGB", size: tuple[int, int] = (120, 160), **options: Any) -> bytes:
        out = io.BytesIO()
        Image.fromarray(photograph(*size)).convert(mode).save(out, "JPEG", quality=90, **options)
        return out.getvalue()

    return encode
