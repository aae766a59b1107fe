"""The bytes and the fidelity of each codec at each cut, over sample images. They hold on every machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.package.manifest import SURE, Agreement, CodecFigures, Cut
from collabd.catalog.package.scores import as_classes, confidence
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
from collabd.partition import CutSpec, Network
from collabd.profiling.evidence import Reference, worth

_BATCH = 32
_CACHE_BYTES = 1 << 30
_KEY = "calibration"
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Trial:
    """One codec with one choice of scales, tried on image after image."""

    codec: str
    channel_axis: int | None
    sizes: list[int] = field(default_factory=list)
    decided: list[npt.NDArray[np.intp]] = field(default_factory=list)
    refused: bool = False

    def figures(self, reference: Reference) -> CodecFigures:
        """Its figures, beside what the unsplit network says."""
        median, high = (int(np.percentile(self.sizes, part, method="higher")) for part in (50, 95))
        return CodecFigures(
            codec=self.codec,
            channel_axis=self.channel_axis,
            bytes_median=median,
            bytes_p95=high,
            agreement=None if self.codec in LOSSLESS else _agreement(np.concatenate(self.decided), reference),
        )


class Calibration:
    """Sends sample images through a network that is cut at different places, and compares with the unsplit network.

    `images` is uint8 [images, height, width, 3], at least one image, already of the network's size.
    """

    def __init__(self, network: Network, images: np.ndarray) -> None:
        self._network = network
        self.images = images
        self._input = network.inputs[0].name
        self._output = network.outputs[0].name
        self._batch = min(_BATCH, rows_together(effort(network))) if network.inputs[0].shape[0] is None else 1
        self._engine = Engine(threads=os.cpu_count() or 1, cache_bytes=_CACHE_BYTES)
        self._engine.add(_KEY, network)
        self.scores = np.concatenate([self._run({self._input: part}) for _, part in self._parts()])

    def reference(self, kind: ScoreKind) -> Reference:
        """What the unsplit network says."""
        classes = as_classes(self.scores, kind)
        return Reference(decided=classes.argmax(axis=1), sure=confidence(classes, kind) >= SURE)

    def cut(self, spec: CutSpec, kind: ScoreKind = ScoreKind.LOGITS) -> Cut:
        """A cut with the codecs that are worth a plan there."""
        codecs = _on_front(self.figures(spec, kind))
        _log.info("cut %s: %s", spec.name, codecs)
        return Cut(name=spec.name, head_layers=spec.head_layers, tensors=spec.tensors, codecs=codecs)

    def figures(self, spec: CutSpec, kind: ScoreKind = ScoreKind.LOGITS) -> tuple[CodecFigures, ...]:
        """Bytes and top-1 agreement of every codec at one cut, with the better choice of scales.

        The top-1 of several independent labels is the most probable one; of a single label it is whether it applies.
        """
        trials = [_Trial(codec=codec, channel_axis=axis) for codec, axis in self._choices(spec)]
        for _, pixels in self._parts():
            features = self._features(spec, pixels)
            for trial in trials:
                self._try(trial, features, images=len(pixels), kind=kind)
        reference = self.reference(kind)
        return _best([trial.figures(reference) for trial in trials if not trial.refused])

    def _parts(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self.images), self._batch):
            yield start, self.images[start : start + self._batch]

    def _choices(self, spec: CutSpec) -> Iterator[tuple[str, int | None]]:
        for codec in codecs_at(spec):
            yield codec, None
            if codec in PER_CHANNEL and self._has_channels(spec):
                yield codec, 1

    def _has_channels(self, spec: CutSpec) -> bool:
        """Whether a scale for each channel makes sense: only for tensors [batch, channels, height, width]."""
        tensors = [self._network.tensor(name) for name in spec.tensors]
        ranks = {len(tensor.shape) for tensor in tensors if tensor.dtype == np.float32}
        return ranks == {4}

    def _features(self, spec: CutSpec, pixels: np.ndarray) -> dict[str, np.ndarray]:
        wanted = [name for name in spec.tensors if name != self._input]
        made = self._engine.run(_KEY, {self._input: pixels}, wanted) if wanted else {}
        return {name: made.get(name, pixels) for name in spec.tensors}

    def _run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self._engine.run(_KEY, feeds, [self._output])[self._output]

    def _try(self, trial: _Trial, features: dict[str, np.ndarray], *, images: int, kind: ScoreKind) -> None:
        if trial.refused:
            return
        try:
            crossed, sizes = _cross(features, images, trial)
        except CodecError as error:
            _log.info("leaving out the codec %s: %s", trial.codec, error)
            trial.refused = True
            return
        trial.sizes += sizes
        if trial.codec not in LOSSLESS:
            trial.decided.append(as_classes(self._run(crossed), kind).argmax(axis=1))


def codecs_at(spec: CutSpec) -> tuple[str, ...]:
    """The codecs for what crosses at a cut."""
    return FEATURE_CODECS if spec.head_layers else IMAGE_CODECS


def uncalibrated(network: Network, spec: CutSpec) -> Cut:
    """A cut without sample images: only the lossless codecs, with the most bytes that they can take."""
    most = sum(network.tensor(name).nbytes for name in spec.tensors)
    lossless = (
        CodecFigures(codec=codec, channel_axis=None, bytes_median=most, bytes_p95=most)
        for codec in codecs_at(spec)
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
            encoded = encode(one, trial.codec, trial.channel_axis)
            sizes[index] += len(encoded.payload)
            arrived[name].append(decode(encoded.payload, encoded.parameters, dtype=one.dtype, shape=one.shape))
    return {name: np.concatenate(arrays) for name, arrays in arrived.items()}, sizes


def _agreement(decided: npt.NDArray[np.intp], reference: Reference) -> Agreement:
    same = decided == reference.decided
    agreed, images = _counted(same, reference.decided)
    sure_agreed, sure_images = _counted(same[reference.sure], reference.decided[reference.sure])
    return Agreement(agreed=agreed, images=images, sure_agreed=sure_agreed, sure_images=sure_images)


def _counted(same: npt.NDArray[np.bool_], decided: npt.NDArray[np.intp]) -> tuple[int, int]:
    """How many agree of how many, where all images together count as what they are `worth`."""
    if not len(same):
        return 0, 0
    images = worth(decided)
    return int(same.sum()) * images // len(same), images


def _best(tried: Sequence[CodecFigures]) -> tuple[CodecFigures, ...]:
    """One choice for each codec: the one that agrees more often, of equals the one with fewer bytes."""
    best: dict[str, CodecFigures] = {}
    for figures in tried:
        known = best.get(figures.codec)
        if known is None or _merit(figures) > _merit(known):
            best[figures.codec] = figures
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


def _beats(one: CodecFigures, other: CodecFigures) -> bool:
    is_no_worse = one.bytes_median <= other.bytes_median and one.fidelity >= other.fidelity
    return is_no_worse and (one.bytes_median, one.fidelity) != (other.bytes_median, other.fidelity)
