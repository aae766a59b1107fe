"""The segments of a model with one companion, and the ways across each cut: what placements are planned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collabd.catalog.package.manifest import Cut
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, ENVELOPE_UP_BYTES, HEADER_BYTES
from collabd.device.decide.spans import Spans
from collabd.device.models.model import DeviceModel
from collabd.planning.candidates import SOURCE
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.profiling.profile import Profile

# How the companion returns tensors.
RETURNED_AS = "f32"


@dataclass(frozen=True)
class ModelSegments:
    """`chain` for planning, beside the cuts that its segments start at and what runs take on either side."""

    chain: Chain
    cuts: tuple[Cut, ...]
    here: Spans
    there: Spans
    layers: int

    @property
    def starts(self) -> tuple[int, ...]:
        """The first layer of each segment."""
        return tuple(cut.head_layers for cut in self.cuts)

    def placement(self, letters: str) -> str:
        """One letter a layer, from one a segment."""
        ends = (*self.starts[1:], self.layers)
        return "".join(letter * (end - start) for letter, start, end in zip(letters, self.starts, ends, strict=True))


def segments(model: DeviceModel, here: Profile, there: Profile, cloud: int) -> ModelSegments:
    """From the profiles of the package here and on the companion of this index."""
    timed = {times.cut for times in here.cuts} & {times.cut for times in there.cuts}
    cuts = tuple(cut for cut in model.manifest.cuts if cut.name in timed)
    names = [cut.name for cut in cuts]
    spans_here, spans_there = Spans(here, names), Spans(there, names)
    chain = Chain(
        cloud=cloud,
        device_s=spans_here.by_heads(),
        cloud_s=spans_there.by_tails(),
        up=tuple(tuple(_ways_up(cut, here, there)) for cut in cuts),
        down=tuple(_way_down(model, tensors) for tensors in (*(cut.tensors for cut in cuts[1:]), None)),
    )
    return ModelSegments(chain, cuts, spans_here, spans_there, len(model.manifest.layers))


def _ways_up(cut: Cut, here: Profile, there: Profile) -> Iterator[CrossingOption]:
    if cut.head_layers == 0:
        yield CrossingOption(codec=SOURCE, sent_bytes=ENVELOPE_UP_BYTES)
    encode_ms = {times.codec: times.encode_ms for each in here.cuts if each.cut == cut.name for times in each.codecs}
    decode_ms = {times.codec: times.decode_ms for each in there.cuts if each.cut == cut.name for times in each.codecs}
    for figures in cut.codecs:
        yield CrossingOption(
            codec=figures.codec,
            sent_bytes=figures.bytes_median + ENVELOPE_UP_BYTES,
            device_s=encode_ms[figures.codec] / 1e3,
            cloud_s=decode_ms[figures.codec] / 1e3,
            fidelity=figures.fidelity,
        )


def _way_down(model: DeviceModel, tensors: tuple[str, ...] | None) -> tuple[CrossingOption, ...]:
    """Tensors come back as they are; None: the answer does."""
    if tensors is None:
        sent = 4 * len(model.manifest.labels)
    else:
        sent = sum(model.network.tensor(name).nbytes for name in tensors)
    return (CrossingOption(codec=RETURNED_AS, sent_bytes=float(sent + ENVELOPE_DOWN_BYTES + HEADER_BYTES)),)
