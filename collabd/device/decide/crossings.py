"""How tensors can cross at a cut: the bytes and seconds of each codec, from the package and the profiles."""

from __future__ import annotations

from collections.abc import Iterator

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Cut, Manifest
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, ENVELOPE_UP_BYTES, HEADER_BYTES
from collabd.device.fidelity.figures import FidelityOf, as_packed
from collabd.partition import Network
from collabd.planning.candidates import SOURCE
from collabd.planning.placements.chain import CrossingOption
from collabd.profiling.profile import CutTimes

# The companion returns tensors with this codec.
RETURNED_AS = "f32"
# The caller's file, sent unchanged. `sent_bytes` leaves out the file itself, because its size differs at each call.
FILE_UP = CrossingOption(codec=SOURCE, sent_bytes=ENVELOPE_UP_BYTES)


def options_up(
    cut: Cut,
    here: CutTimes,
    there: CutTimes,
    *,
    head: Precision = Precision.FP32,
    tail: Precision = Precision.FP32,
    fidelity_of: FidelityOf = as_packed,
) -> Iterator[CrossingOption]:
    """One option for each codec of the cut that is kept with a head and a tail in these precisions.

    With the codec's seconds on the device and on the companion.
    """
    encode_ms = {times.codec: times.encode_ms for times in here.codecs}
    decode_ms = {times.codec: times.decode_ms for times in there.codecs}
    for figures in cut.codecs:
        if (figures.head, figures.tail) != (head, tail):
            continue
        yield CrossingOption(
            codec=figures.codec,
            sent_bytes=figures.bytes_median + ENVELOPE_UP_BYTES,
            device_s=encode_ms[figures.codec] / 1e3,
            cloud_s=decode_ms[figures.codec] / 1e3,
            fidelity=fidelity_of(cut, figures),
        )


def answer_down(manifest: Manifest, network: Network, cut: Cut) -> CrossingOption:
    """The outputs of the network that the device does not know yet at the cut."""
    _, outputs = network.behind(cut.tensors)
    if manifest.answer_bytes is not None and len(outputs) == len(manifest.outputs):
        return tensors_down(manifest.answer_bytes)
    return tensors_down(sum(network.tensor(name).nbytes for name in outputs))


def tensors_down(nbytes: int) -> CrossingOption:
    """Tensors that the companion returns as `nbytes` bytes."""
    return CrossingOption(codec=RETURNED_AS, sent_bytes=float(nbytes + ENVELOPE_DOWN_BYTES + HEADER_BYTES))
