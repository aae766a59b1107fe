"""What the engine calls the networks of one package."""

from __future__ import annotations

from collections.abc import Iterable

from collab_sdk.vocabulary import Precision


def keys_of(base: str, precisions: Iterable[Precision]) -> dict[Precision, str]:
    """A key for each precision. That of fp32 is the `base` itself, which nothing else may have."""
    return {each: base if each == Precision.FP32 else other_key(base, each) for each in precisions}


def other_key(base: str, precision: Precision) -> str:
    """The key of the same network in another precision than fp32, whose key is the `base`."""
    return f"{base}/{precision}"
