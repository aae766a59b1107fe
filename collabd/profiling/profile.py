"""Measured times of one package on one machine, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.manifest import Agreement, Manifest

# At most some hours, since a profile from elsewhere must not upset the planning.
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e7)]


class CodecTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds that one codec takes for all the tensors at a cut."""

    codec: str
    encode_ms: Milliseconds
    decode_ms: Milliseconds


class VariantTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds before and behind a cut in another precision than fp32."""

    head_ms: Milliseconds
    tail_ms: Milliseconds


class CutTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds before and behind a cut in fp32; the image cut has no head. `int8`, `bf16`: None if that does not
    run here.

    What a codec takes does not depend on the precision.
    """

    cut: str
    head_ms: Milliseconds
    tail_ms: Milliseconds
    codecs: tuple[CodecTimes, ...]
    int8: VariantTimes | None = None
    bf16: VariantTimes | None = None

    def parts(self, precision: Precision) -> CutTimes | VariantTimes:
        """The times in one of the precisions of the profile. Raises `LookupError` for another."""
        found = {Precision.FP32: self, Precision.INT8: self.int8, Precision.BF16: self.bf16}[precision]
        if found is None:
            raise LookupError(f"{self.cut} was not timed in {precision}")
        return found


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What times depend on. A profile holds only on the machine that it names.

    `provider`: what computes the fp32 graph there.
    """

    cpu: str
    cores: int
    onnxruntime: str
    collabd: str
    provider: Provider = Provider.CPU


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Medians in milliseconds at batch 1 of package `digest` on `machine` with `threads` of the engine.

    `prep_ms`: decoding and resizing an image; `whole_ms`: the unsplit network in fp32; `whole_int8_ms`: the same in
    int8, None if the package has no such graph, or this machine does not run it; `whole_bf16_ms`: in bf16, None if
    nothing computes that here. `bf16_agreement`: how many answers to pictures made by rule stay in bf16.
    `spread`: how many times its median a typical step takes in its slowest tenth; 1.0 if all runs are equal.
    """

    digest: str
    machine: Machine
    threads: int
    prep_ms: Milliseconds
    whole_ms: Milliseconds
    spread: Annotated[float, msgspec.Meta(ge=1, le=1e6)]
    cuts: tuple[CutTimes, ...]
    whole_int8_ms: Milliseconds | None = None
    whole_bf16_ms: Milliseconds | None = None
    bf16_agreement: Agreement | None = None

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those that it times."""
        return tuple(precision for precision, whole_ms in self._wholes_ms().items() if whole_ms is not None)

    def computed_as(self, precision: Precision) -> Precision | None:
        """In which precision that machine would compute what may be in `precision`; None: in none that is as good.

        In the place of a reduced precision fp32 is as good as it can be.
        """
        return next((each for each in (precision, precision.graph) if each in self.precisions), None)

    def whole_s(self, precision: Precision = Precision.FP32) -> float:
        """Seconds of the unsplit network in one of the precisions. Raises `LookupError` for another."""
        whole_ms = self._wholes_ms()[precision]
        if whole_ms is None:
            raise LookupError(f"the network was not timed in {precision}")
        return whole_ms / 1e3

    @property
    def computed_by(self) -> str:
        """What computes, in words that other machines of its kind share."""
        return f"{self.machine.provider} on {self.machine.cpu}"

    @property
    def without_bf16(self) -> Profile:
        """What is left of it where bf16 is no longer to be had."""
        cuts = tuple(msgspec.structs.replace(cut, bf16=None) for cut in self.cuts)
        return msgspec.structs.replace(self, cuts=cuts, whole_bf16_ms=None, bf16_agreement=None)

    def _wholes_ms(self) -> dict[Precision, float | None]:
        return {
            Precision.FP32: self.whole_ms,
            Precision.INT8: self.whole_int8_ms,
            Precision.BF16: self.whole_bf16_ms,
        }

    def is_complete(self, manifest: Manifest, precisions: Sequence[Precision] | None = None) -> bool:
        """Whether it times exactly the cuts and codecs of this package, without which it is of no use to planning.

        `precisions`: those that it must time; None: any of the package's, and bf16.
        """
        timed = {times.cut: {each.codec for each in times.codecs} for times in self.cuts}
        in_int8 = {times.int8 is not None for times in self.cuts} | {self.whole_int8_ms is not None}
        in_bf16 = {times.bf16 is not None for times in self.cuts}
        in_bf16 |= {self.whole_bf16_ms is not None, self.bf16_agreement is not None}
        return (
            timed == {cut.name: {each.codec for each in cut.codecs} for cut in manifest.cuts}
            and len(in_int8) == len(in_bf16) == 1
            and (self.bf16_agreement is None or self.bf16_agreement.adds_up)
            and {precision.graph for precision in self.precisions} <= set(manifest.precisions)
            and (precisions is None or set(self.precisions) == set(precisions))
        )
