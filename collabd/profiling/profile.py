"""Measured times of one package on one machine, as data."""

from __future__ import annotations

import msgspec


class CodecTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds that one codec takes for all the tensors at a cut."""

    codec: str
    encode_ms: float
    decode_ms: float


class CutTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds before and behind a cut; the image cut has no head."""

    cut: str
    head_ms: float
    tail_ms: float
    codecs: tuple[CodecTimes, ...]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What times depend on; a profile holds on no other machine than this."""

    cpu: str
    cores: int
    onnxruntime: str
    collabd: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Medians in milliseconds at batch 1 of package `digest` on `machine` with `threads` of the engine.

    `prep_ms`: decoding and resizing an image; `whole_ms`: the unsplit network.
    `spread`: how many times its median a typical step takes in its slowest tenth; 1.0 if all runs are equal.
    """

    digest: str
    machine: Machine
    threads: int
    prep_ms: float
    whole_ms: float
    spread: float
    cuts: tuple[CutTimes, ...]
