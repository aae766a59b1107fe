"""How tensors can cross at a cut: the bytes and seconds of each codec, from the package and the profiles."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.catalog.package.manifest import Cut, Manifest
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, ENVELOPE_UP_BYTES, HEADER_BYTES
from collabd.planning.candidates import SOURCE
from collabd.planning.placements.chain import CrossingOption
from collabd.profiling.profile import CutTimes

# The companion returns tensors with this codec.
RETURNED_AS = "f32"
# The caller's file, sent unchanged. `sent_bytes` leaves out the file itself, because its size differs at each call.
FILE_UP = CrossingOption(codec=SOURCE, sent_bytes=ENVELOPE_UP_BYTES)


def options_up(cut: Cut, here: CutTimes, there: CutTimes) -> Iterator[CrossingOption]:
    """One option for each codec of the cut, with the codec's seconds on the device and on the companion."""
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
    """The output of the network: one fp32 number (4 bytes) for each label."""
    return tensors_down(4 * len(manifest.labels))


def tensors_down(nbytes: int) -> CrossingOption:
    """Tensors of `nbytes` bytes, which the companion returns uncompressed."""
    return CrossingOption(codec=RETURNED_AS, sent_bytes=float(nbytes + ENVELOPE_DOWN_BYTES + HEADER_BYTES))
