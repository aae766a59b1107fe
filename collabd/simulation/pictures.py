"""The pictures that the requests of a simulation show, and the frames that a camera makes of them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidImage, InvalidRequest
from collabd.catalog.authoring.calibration_pixels import sample_pixels
from collabd.catalog.package.manifest import Picture
from collabd.imaging import OpenImage

# Of one picture a camera makes so many frames that differ, each with noise of its own; the first has none.
TAKES = 9
# The noise of a sensor: the standard deviation of each value, of 255 levels.
_NOISE = 1.0
_MOST = 5000
_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp"})

# Frames by number: picture * TAKES + take.
Frames = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShownPictures:
    """Pictures as a network takes them, uint8 [pictures, height, width, 3], and the (width, height) each had before."""

    pixels: npt.NDArray[np.uint8]
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def digest(self) -> str:
        """Names these pictures, in this order."""
        return hashlib.sha256(repr((self.pixels.shape, self.sizes)).encode() + self.pixels.tobytes()).hexdigest()

    def frame(self, number: int) -> npt.NDArray[np.uint8]:
        """One frame, uint8 [1, height, width, 3]."""
        picture, take = divmod(int(number), TAKES)
        pixels = self.pixels[picture : picture + 1]
        if not take:
            return pixels
        noise = np.random.default_rng((picture, take)).normal(0.0, _NOISE, pixels.shape)
        return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def read_pictures(path: Path, wanted: Picture) -> ShownPictures:
    """The images in a folder or zip, at most 5,000 and then evenly spread over the names.

    Raises `InvalidRequest`, `InvalidImage`, `OSError`.
    """
    pixels, sizes = [], []
    for name, image in _files(path):
        try:
            pixels.append(sample_pixels(image, wanted))
            sizes.append(OpenImage(image).upright_size)
        except InvalidImage as error:
            raise InvalidImage(f"{path}: {name}: {error}") from error
    if not pixels:
        raise InvalidRequest(f"{path} holds no images ({', '.join(sorted(_SUFFIXES))})")
    return ShownPictures(np.concatenate(pixels), tuple(sizes))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for name in _chosen([file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]):
            yield name, (path / name).read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _chosen(archive.namelist()):
                yield name, archive.read(name)
    except zipfile.BadZipFile as error:
        raise InvalidRequest(f"{path} is neither a folder nor a zip of images: {error}") from error


def _chosen(names: list[str]) -> list[str]:
    images = sorted(name for name in names if Path(name).suffix.lower() in _SUFFIXES)
    wanted = min(len(images), _MOST)
    return [images[index * len(images) // wanted] for index in range(wanted)]


class SimulatedCamera:
    """Says which frame each request shows.

    With the probability `parked` a frame shows what the frame before showed, with the noise of the sensor. Else it
    shows the next picture. A split is one order of the pictures, by chance; scenes and noise are the same in each.
    """

    def __init__(self, pictures: ShownPictures, *, requests: int, parked: float, seed: int) -> None:
        self.pictures = pictures
        self._seed = seed
        moves = np.random.default_rng((seed, 1)).random(requests) >= parked
        moves[0] = True
        self.scenes = np.cumsum(moves) - 1
        since = np.arange(requests) - np.flatnonzero(moves)[self.scenes]
        self._takes = np.where(since == 0, 0, 1 + (since - 1) % (TAKES - 1))

    def frames(self, split: int) -> Frames:
        """The frame of each request, int64 [requests]. After the last picture the first one comes again."""
        order = np.random.default_rng((self._seed, 2, split)).permutation(len(self.pictures))
        return np.asarray(order[self.scenes % len(order)] * TAKES + self._takes, np.int64)
