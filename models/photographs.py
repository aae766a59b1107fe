"""Photographs: the few that scikit-image ships, and a folder of many, to calibrate codecs with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

__all__ = ["PHOTOGRAPHS", "crops", "photograph", "to_calibrate", "to_check"]

# Photographs in the public domain or under CC0 that show what a camera sees. scikit-image also has free pictures of the
# sky, a retina and tissue.
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "rocket")
# Of so many photographs one is held apart, to check what the others promise.
_HELD_APART = 6
# The least side of a crop, as a share of the photograph's shorter side and in pixels: networks take 224 or more, and an
# enlarged picture is smoother than a photograph.
_LEAST_SHARE = 0.5
_LEAST_SIDE = 256


def photograph(name: str) -> np.ndarray:
    """The picture of this name in `skimage.data`, uint8 [height, width, 3]."""
    pixels: np.ndarray = getattr(data, name)()
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)


def to_calibrate(folder: Path) -> list[Path]:
    """The photographs in a folder that calibrate codecs; the others are those `to_check`."""
    return [path for index, path in enumerate(_files(folder)) if index % _HELD_APART]


def to_check(folder: Path) -> list[Path]:
    """The photographs in a folder that no calibration has seen: every sixth by name."""
    return _files(folder)[::_HELD_APART]


def crops(paths: Sequence[Path], each: int, seed: int = 0) -> list[np.ndarray]:
    """`each` square crops of every photograph, uint8 [side, side, 3], at several scales, some mirrored.

    The first is as large as the photograph allows. Equal seeds give equal crops.
    """
    random = np.random.default_rng(seed)
    return [crop for path in paths for crop in _crops(_pixels(path), each, random)]


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if not found:
        raise FileNotFoundError(f"{folder} holds no photographs: see models/README.md")
    return found


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _crops(picture: np.ndarray, each: int, random: np.random.Generator) -> list[np.ndarray]:
    shorter = min(picture.shape[:2])
    least = min(max(int(shorter * _LEAST_SHARE), _LEAST_SIDE), shorter)
    sides = [shorter, *(int(random.integers(least, shorter + 1)) for _ in range(each - 1))]
    return [_crop(picture, side, random) for side in sides]


def _crop(picture: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    top, left = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return np.ascontiguousarray(square[:, ::-1] if random.random() < 0.5 else square)
