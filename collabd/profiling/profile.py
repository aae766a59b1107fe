"""Measured times of one package on one machine, as data."""

from __future__ import annotations

from typing import Annotated

import msgspec

from collabd.catalog.package.manifest import Manifest

# At most some hours, since a profile from elsewhere must not upset the planning.
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e7)]


class CodecTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds that one codec takes for all the tensors at a cut."""

    codec: str
    encode_ms: Milliseconds
    decode_ms: Milliseconds


class CutTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds before and behind a cut; the image cut has no head."""

    cut: str
    head_ms: Milliseconds
    tail_ms: Milliseconds
    codecs: tuple[CodecTimes, ...]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What times depend on. A profile holds only on the machine that it names."""

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
    prep_ms: Milliseconds
    whole_ms: Milliseconds
    spread: Annotated[float, msgspec.Meta(ge=1, le=1e6)]
    cuts: tuple[CutTimes, ...]

    def is_complete(self, manifest: Manifest) -> bool:
        """Whether it times exactly the cuts and codecs of this package, without which it is of no use to planning."""
        timed = {times.cut: {each.codec for each in times.codecs} for times in self.cuts}
        return timed == {cut.name: {each.codec for each in cut.codecs} for cut in manifest.cuts}
