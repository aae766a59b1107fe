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
from collabd.catalog.package.manifest import CodecFigures, Cut
from collabd.catalog.package.scores import as_classes
from collabd.codec import FEATURE_CODECS, IMAGE_CODECS, LOSSLESS, PER_CHANNEL, CodecError, decode, encode
from collabd.engine import Engine
from collabd.partition import CutSpec, Network
from collabd.profiling.evidence import worth

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
    agreed: int = 0
    refused: bool = False

    def figures(self, worth: int) -> CodecFigures:
        """Its figures, where all images together count as `worth` many."""
        median, high = (int(np.percentile(self.sizes, part, method="higher")) for part in (50, 95))
        compared = 0 if self.codec in LOSSLESS else worth
        agreed = self.agreed * worth // len(self.sizes)
        return CodecFigures(
            codec=self.codec,
            channel_axis=self.channel_axis,
            bytes_median=median,
            bytes_p95=high,
            agreed=agreed,
            images=compared,
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

    def decided(self, kind: ScoreKind) -> npt.NDArray[np.intp]:
        """The class of each image, by the unsplit network."""
        return np.asarray(as_classes(self.scores, kind).argmax(axis=1))

    def cut(self, spec: CutSpec, kind: ScoreKind = ScoreKind.LOGITS) -> Cut:
        """Bytes and top-1 agreement of every codec at one cut, with the better choice of scales.

        The top-1 of several independent labels is the most probable one; of a single label it is whether it applies.
        """
        decided = self.decided(kind)
        trials = [_Trial(codec=codec, channel_axis=axis) for codec, axis in self._choices(spec)]
        for start, pixels in self._parts():
            features = self._features(spec, pixels)
            for trial in trials:
                self._try(trial, features, expected=decided[start : start + len(pixels)], kind=kind)
        best = _best([trial.figures(worth(decided)) for trial in trials if not trial.refused])
        _log.info("cut %s: %s", spec.name, best)
        return Cut(name=spec.name, head_layers=spec.head_layers, tensors=spec.tensors, codecs=best)

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

    def _try(
        self, trial: _Trial, features: dict[str, np.ndarray], *, expected: npt.NDArray[np.intp], kind: ScoreKind
    ) -> None:
        if trial.refused:
            return
        try:
            crossed, sizes = _cross(features, len(expected), trial)
        except CodecError as error:
            _log.info("leaving out the codec %s: %s", trial.codec, error)
            trial.refused = True
            return
        trial.sizes += sizes
        if trial.codec not in LOSSLESS:
            trial.agreed += int((as_classes(self._run(crossed), kind).argmax(axis=1) == expected).sum())


def codecs_at(spec: CutSpec) -> tuple[str, ...]:
    """The codecs for what crosses at a cut."""
    return FEATURE_CODECS if spec.head_layers else IMAGE_CODECS


def uncalibrated(network: Network, spec: CutSpec) -> Cut:
    """A cut without sample images: only the lossless codecs, with the most bytes that they can take."""
    most = sum(network.tensor(name).nbytes for name in spec.tensors)
    lossless = (
        CodecFigures(codec=codec, channel_axis=None, bytes_median=most, bytes_p95=most, agreed=0, images=0)
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


def _best(tried: Sequence[CodecFigures]) -> tuple[CodecFigures, ...]:
    """One choice for each codec: the one that agrees more often, of equals the one with fewer bytes."""
    best: dict[str, CodecFigures] = {}
    for figures in tried:
        known = best.get(figures.codec)
        if known is None or (figures.agreed, -figures.bytes_median) > (known.agreed, -known.bytes_median):
            best[figures.codec] = figures
    return tuple(best.values())
