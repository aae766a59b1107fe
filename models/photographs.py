"""The free photographs that scikit-image ships, and varied crops of them to calibrate codecs with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage import data

__all__ = ["PHOTOGRAPHS", "crops", "photograph"]

# Photographs in the public domain or under CC0 that show what a camera sees. scikit-image also has free pictures of the
# sky, a retina and tissue. An ImageNet network only guesses on those, and any changed pixel changes the guess.
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "rocket")
# The least side of a crop, as a share of the photograph's shorter side: a smaller crop misses the photograph's subject.
_LEAST = 0.7


def photograph(name: str) -> np.ndarray:
    """The picture of this name in `skimage.data`, uint8 [height, width, 3]."""
    pixels: np.ndarray = getattr(data, name)()
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)


def crops(names: Sequence[str], each: int, seed: int = 0) -> list[np.ndarray]:
    """`each` square crops of every photograph, uint8 [side, side, 3], some mirrored; equal seeds, equal crops."""
    random = np.random.default_rng(seed)
    return [_crop(picture, random) for picture in map(photograph, names) for _ in range(each)]


def _crop(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    shorter = min(picture.shape[:2])
    side = int(random.integers(int(shorter * _LEAST), shorter + 1))
    top, left = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return np.ascontiguousarray(square[:, ::-1] if random.random() < 0.5 else square)
