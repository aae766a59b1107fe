"""Images made by rule. They show how a network behaves where there are no photographs, or too few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# The numbers of three images that differ in brightness and in content, for where few must do.
UNLIKE = (0, 1, 2)


def probe_images(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Ten images, uint8 [10, height, width, 3], equal for equal sizes.

    Dark, bright and full noise, patches of colour, gradients both ways, black, grey and white: a value that saturates
    on one of them does not saturate on all.
    """
    rng = np.random.default_rng(0)

    def noise(low: int, high: int) -> npt.NDArray[np.uint8]:
        return rng.integers(low, high, (height, width, 3), dtype=np.uint8)

    patches = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    across = np.linspace(0, 255, width)[np.newaxis, :, np.newaxis] * np.array([1.0, 0.5, 0.25])
    down = np.linspace(255, 0, height)[:, np.newaxis, np.newaxis] * np.array([0.25, 1.0, 0.5])
    images = [
        noise(0, 64),
        noise(160, 256),
        patches.repeat(8, axis=0).repeat(8, axis=1)[:height, :width],
        noise(0, 256),
        np.broadcast_to(across, (height, width, 3)),
        np.broadcast_to(down, (height, width, 3)),
        (across + down) / 2,
        *(np.full((height, width, 3), level) for level in (0, 128, 255)),
    ]
    return np.stack([np.asarray(image, np.uint8) for image in images])
