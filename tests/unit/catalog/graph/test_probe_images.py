"""Images made by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collabd.catalog.graph.probe_images import photograph_like
from collabd.catalog.package.manifest import Picture
from collabd.codec import JPEG_CODECS, encode
from collabd.imaging import prepare

PHOTOS = sorted((Path(__file__).parents[4] / "models/samples/photos").glob("*.jpg"))


@pytest.mark.parametrize("codec", JPEG_CODECS)
def test_images_like_photographs_compress_like_photographs(codec: str) -> None:
    wanted = Picture(height=224, width=224, rule="crop", resize_shorter=256)
    photographs = [prepare(path.read_bytes(), wanted) for path in PHOTOS]
    made = photograph_like(224, 224)[:, np.newaxis]
    like, real = (np.median([len(encode(image, codec).payload) for image in images]) for images in (made, photographs))
    assert 0.6 < like / real < 1.7


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 32), (32, 7), (33, 48)])
def test_they_have_any_size_and_are_equal_each_time(height: int, width: int) -> None:
    images = photograph_like(height, width)
    assert images.shape == (16, height, width, 3)
    assert (images == photograph_like(height, width)).all()
