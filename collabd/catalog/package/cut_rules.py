"""The cut in front of the whole network, and the codecs for what crosses at a cut."""

from __future__ import annotations

from collabd.catalog.package.manifest import Picture
from collabd.codec import FEATURE_CODECS, IMAGE_CODECS, LOSSLESS

_LOSSLESS_FEATURE_CODECS = tuple(codec for codec in FEATURE_CODECS if codec in LOSSLESS)


def first_cut(picture: Picture | None) -> str:
    """The name of the cut at which the caller's picture crosses, or the tensors that the caller sent."""
    return "inputs" if picture is None else "image"


def codecs_at(head_layers: int, picture: Picture | None) -> tuple[str, ...]:
    """The codecs for what crosses behind so many layers. What a caller sends as tensors is never changed."""
    if head_layers:
        return FEATURE_CODECS
    return _LOSSLESS_FEATURE_CODECS if picture is None else IMAGE_CODECS
