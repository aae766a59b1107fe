"""How tensors can cross at a cut: the bytes and seconds of each codec, from the package and the profiles."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.catalog.package.manifest import Cut, Manifest
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, ENVELOPE_UP_BYTES, HEADER_BYTES
from collabd.planning.candidates import SOURCE
from collabd.planning.placements.chain import CrossingOption
from collabd.profiling.profile import CutTimes

# How the companion returns tensors.
RETURNED_AS = "f32"
# The caller's file as it came, whose own bytes are counted at each call.
FILE_UP = CrossingOption(codec=SOURCE, sent_bytes=ENVELOPE_UP_BYTES)


def options_up(cut: Cut, here: CutTimes, there: CutTimes) -> Iterator[CrossingOption]:
    """One for each codec of the cut, by its times on the device and on the companion."""
    encode_ms = {times.codec: times.encode_ms for times in here.codecs}
    decode_ms = {times.codec: times.decode_ms for times in there.codecs}
    for figures in cut.codecs:
        yield CrossingOption(
            codec=figures.codec,
            sent_bytes=figures.bytes_median + ENVELOPE_UP_BYTES,
            device_s=encode_ms[figures.codec] / 1e3,
            cloud_s=decode_ms[figures.codec] / 1e3,
            fidelity=figures.fidelity,
        )


def answer_down(manifest: Manifest) -> CrossingOption:
    """The network's output, one fp32 number a label."""
    return tensors_down(4 * len(manifest.labels))


def tensors_down(nbytes: int) -> CrossingOption:
    """Tensors of so many bytes, which come back as they are."""
    return CrossingOption(codec=RETURNED_AS, sent_bytes=float(nbytes + ENVELOPE_DOWN_BYTES + HEADER_BYTES))
