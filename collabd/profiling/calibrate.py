"""The bytes and the fidelity of each codec at each cut, over sample images. They hold on every machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from collab_sdk.vocabulary import Precision
from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.package.cut_rules import codecs_at
from collabd.catalog.package.manifest import CodecFigures, Cut, Picture
from collabd.codec import (
    FEATURE_CODECS,
    IMAGE_CODECS,
    JPEG_CODECS,
    LOSSLESS,
    PER_CHANNEL,
    USUAL_JPEG,
    CodecError,
    decode,
    encode,
)
from collabd.engine import Engine
from collabd.limits.cores import usable_cores
from collabd.partition import CutSpec, Network
from collabd.profiling.likeness.likeness import Likeness
from collabd.profiling.likeness.verdict import Shares, Verdict
from collabd.tracking import Track, untracked

_BATCH = 32
# The most bytes that the outputs of all images may take.
_KEPT_BYTES = 1 << 29
_CACHE_BYTES = 1 << 30
# What combinations with int8 promise at least, if they change anything besides; nobody would take less.
_LEAST_PROMISED = 0.9
_FP32 = ((Precision.FP32, Precision.FP32),)
_WITH_INT8 = (
    (Precision.FP32, Precision.INT8),
    (Precision.INT8, Precision.FP32),
    (Precision.INT8, Precision.INT8),
)
_Pairs: TypeAlias = Sequence[tuple[Precision, Precision]]
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Trial:
    """One codec with one choice of scales and precisions, tried on image after image."""

    codec: str
    head: Precision
    tail: Precision
    channel_axis: int | None
    sizes: list[int] = field(default_factory=list)
    shares: list[Shares] = field(default_factory=list)
    refused: bool = False

    def figures(self, likeness: Likeness) -> CodecFigures:
        """Its figures, by this measure."""
        median, high = (int(np.percentile(self.sizes, part, method="higher")) for part in (50, 95))
        told = likeness.verdict(np.concatenate(self.shares)) if self.shares else Verdict()
        return CodecFigures(
            codec=self.codec,
            head=self.head,
            tail=self.tail,
            channel_axis=self.channel_axis,
            bytes_median=median,
            bytes_p95=high,
            agreement=told.agreement,
            largest_change=told.largest_change,
            mean_iou=told.mean_iou,
        )


class Calibration:
    """Sends sample images through a network that is cut at different places, and compares with the unsplit network.

    `int8`: the network in int8, if its parts are to be tried too. What is compared with is always the fp32 network.
    `images` is uint8 [images, height, width, 3], at least one image, already of the network's size: its only input. As
    many are used as have outputs that fit into memory. `outputs`: those of the unsplit network for all images, which
    `track` goes through.
    """

    def __init__(
        self, network: Network, images: np.ndarray, *, int8: Network | None = None, track: Track = untracked
    ) -> None:
        self._network = network
        self.images = images[: max(1, _KEPT_BYTES // sum(info.nbytes for info in network.outputs))]
        (self._input,) = network.graph.inputs
        self._batch = min(_BATCH, rows_together(effort(network))) if network.inputs[0].shape[0] is None else 1
        self._engine = Engine(threads=usable_cores(), cache_bytes=_CACHE_BYTES)
        self._engine.add(Precision.FP32, network)
        if int8 is not None:
            self._engine.add(Precision.INT8, int8)
        outputs = network.graph.outputs
        batches = track("answering images, batch by batch", list(self._parts()))
        parts = [self._run({self._input: part}, outputs, images=len(part)) for _, part in batches]
        self.outputs = {name: np.concatenate([part[name] for part in parts]) for name in network.graph.outputs}

    def answer_bytes(self) -> int:
        """The bytes of all outputs as a companion returns them: the median over the images."""
        names = [name for name, array in self.outputs.items() if array.dtype == np.uint8]
        plain: int = sum(array[0].nbytes for name, array in self.outputs.items() if name not in names)
        packed = [
            sum(len(encode(self.outputs[name][index], "u8").payload) for name in names)
            for index in range(len(self.images))
        ]
        return plain + int(np.percentile(packed, 50, method="higher"))

    def cut(self, spec: CutSpec, likeness: Likeness) -> Cut:
        """A cut with the codecs that are worth a plan there."""
        codecs = _on_front(self.figures(spec, likeness))
        _log.info("cut %s: %s", spec.name, codecs)
        return Cut(name=spec.name, head_layers=spec.head_layers, tensors=spec.tensors, codecs=codecs)

    def with_int8(self, spec: CutSpec, likeness: Likeness) -> tuple[CodecFigures, ...]:
        """What is worth a plan at a cut if the part before it, the part behind it or both run in int8."""
        pairs = _WITH_INT8 if spec.head_layers else _WITH_INT8[:1]
        found = self.figures(spec, likeness, pairs=pairs)
        kept = [[*_worthwhile([each for each in found if (each.head, each.tail) == pair])] for pair in pairs]
        _log.info("cut %s with int8: %s", spec.name, kept)
        return tuple(each for figures in kept for each in figures)

    def figures(self, spec: CutSpec, likeness: Likeness, *, pairs: _Pairs = _FP32) -> tuple[CodecFigures, ...]:
        """Bytes and fidelity of every codec at one cut, with the better choice of scales, for each pair of precisions.

        A pair has the precision of the part before the cut, and of that behind it.
        """
        trials = [
            _Trial(codec=codec, head=head, tail=tail, channel_axis=axis)
            for head, tail in pairs
            for codec, axis in self._choices(spec)
        ]
        for first, pixels in self._parts():
            known = {head: self._known(spec, pixels, head) for head in dict.fromkeys(head for head, _ in pairs)}
            for trial in trials:
                self._try(trial, spec, known[trial.head], first=first, likeness=likeness)
        return _best([trial.figures(likeness) for trial in trials if not trial.refused])

    def _parts(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self.images), self._batch):
            yield start, self.images[start : start + self._batch]

    def _choices(self, spec: CutSpec) -> Iterator[tuple[str, int | None]]:
        for codec in FEATURE_CODECS if spec.head_layers else IMAGE_CODECS:
            yield codec, None
            if codec in PER_CHANNEL and self._has_channels(spec):
                yield codec, 1

    def _has_channels(self, spec: CutSpec) -> bool:
        """Whether a scale for each channel makes sense: only for tensors [batch, channels, height, width]."""
        tensors = [self._network.tensor(name) for name in self._network.behind(spec.tensors)[0]]
        ranks = {len(tensor.shape) for tensor in tensors if tensor.dtype == np.float32}
        return ranks == {4}

    def _known(self, spec: CutSpec, pixels: np.ndarray, head: Precision) -> dict[str, np.ndarray]:
        """All tensors that are alive at the cut."""
        wanted = [name for name in spec.tensors if name != self._input]
        made = self._engine.run(head, {self._input: pixels}, wanted) if wanted else {}
        return {name: made.get(name, pixels) for name in spec.tensors}

    def _try(
        self, trial: _Trial, spec: CutSpec, known: dict[str, np.ndarray], *, first: int, likeness: Likeness
    ) -> None:
        if trial.refused:
            return
        crossing, outputs = self._network.behind(spec.tensors)
        images = min(self._batch, len(self.images) - first)
        try:
            crossed, sizes = _cross({name: known[name] for name in crossing}, images, trial)
        except CodecError as error:
            _log.info("leaving out the codec %s: %s", trial.codec, error)
            trial.refused = True
            return
        trial.sizes += sizes
        if not (trial.codec in LOSSLESS and trial.head == trial.tail == Precision.FP32):
            # Outputs that are known before the cut are not sent.
            early = {name: one_by_one(array, images) for name, array in known.items() if name in self.outputs}
            trial.shares.append(likeness.shares(early | self._run(crossed, outputs, trial.tail, images=images), first))

    def _run(
        self,
        feeds: dict[str, np.ndarray],
        outputs: Sequence[str],
        precision: Precision = Precision.FP32,
        *,
        images: int,
    ) -> dict[str, np.ndarray]:
        made = self._engine.run(precision, feeds, outputs)
        return {name: one_by_one(array, images) for name, array in made.items()}


def one_by_one(array: np.ndarray, images: int) -> np.ndarray:
    """The array with one entry for each image along its first axis. A network that takes one may have no such axis."""
    return array if array.shape[:1] == (images,) else array[np.newaxis]


def uncalibrated(network: Network, spec: CutSpec, picture: Picture | None) -> Cut:
    """A cut without sample images: only the lossless codecs, with the most bytes that they can take."""
    most = sum(network.tensor(name).nbytes for name in network.behind(spec.tensors)[0])
    lossless = (
        CodecFigures(codec=codec, channel_axis=None, bytes_median=most, bytes_p95=most)
        for codec in codecs_at(spec.head_layers, picture)
        if codec in LOSSLESS
    )
    return Cut(name=spec.name, head_layers=spec.head_layers, tensors=spec.tensors, codecs=tuple(lossless))


def _cross(features: dict[str, np.ndarray], images: int, trial: _Trial) -> tuple[dict[str, np.ndarray], list[int]]:
    """What arrives when the features of each image are sent on their own, and how many bytes that takes."""
    arrived: dict[str, list[np.ndarray]] = {name: [] for name in features}
    sizes = [0] * images
    for index in range(images):
        for name, array in features.items():
            one = array[index : index + 1] if images > 1 else array
            came, nbytes = there_and_back(one, trial.codec, trial.channel_axis)
            sizes[index] += nbytes
            arrived[name].append(came)
    # What belongs to one image may have no axis at all.
    return {name: np.concatenate(arrays) if images > 1 else arrays[0] for name, arrays in arrived.items()}, sizes


def there_and_back(array: np.ndarray, codec: str, channel_axis: int | None) -> tuple[np.ndarray, int]:
    """What arrives of a tensor that travels with this codec, and its bytes on the way. Raises `CodecError`."""
    encoded = encode(array, codec, channel_axis)
    return decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape), len(encoded.payload)


def _best(tried: Sequence[CodecFigures]) -> tuple[CodecFigures, ...]:
    """One choice for each codec and precisions: that which agrees more often, of equals that with fewer bytes."""
    best: dict[tuple[str, Precision, Precision], CodecFigures] = {}
    for figures in tried:
        kind = figures.codec, figures.head, figures.tail
        if kind not in best or _merit(figures) > _merit(best[kind]):
            best[kind] = figures
    return tuple(best.values())


def _merit(figures: CodecFigures) -> tuple[float, int, int]:
    agreed = 0 if figures.agreement is None else figures.agreement.agreed
    return figures.fidelity, agreed, -figures.bytes_median


def _on_front(best: Sequence[CodecFigures]) -> tuple[CodecFigures, ...]:
    """All but the JPEGs that another JPEG beats: one of no more bytes that agrees no less.

    Encoding need not be compared: on a photograph of 224x224 it takes 0.20 to 0.33 ms at any quality, and more bytes
    mostly take longer. The usual JPEG stays, since callers ask for it by name.
    """
    jpegs = [figures for figures in best if figures.codec in JPEG_CODECS]
    beaten = {figures.codec for figures in jpegs if any(_beats(other, figures) for other in jpegs)}
    return tuple(figures for figures in best if figures.codec not in beaten - {USUAL_JPEG})


def _worthwhile(figures: Sequence[CodecFigures]) -> Iterator[CodecFigures]:
    """Of one pair of precisions: what is lossless, and what keeps enough and is not beaten."""
    lossy = [each for each in figures if each.codec not in LOSSLESS]
    for each in figures:
        keeps = each.fidelity >= _LEAST_PROMISED and not any(_beats(other, each) for other in lossy)
        if each.codec in LOSSLESS or keeps:
            yield each


def _beats(one: CodecFigures, other: CodecFigures) -> bool:
    is_no_worse = one.bytes_median <= other.bytes_median and one.fidelity >= other.fidelity
    return is_no_worse and (one.bytes_median, one.fidelity) != (other.bytes_median, other.fidelity)
