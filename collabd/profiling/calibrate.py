"""What each codec makes of the features at each cut, over sample images: holds on every machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from collabd.catalog.effort import effort, rows_together
from collabd.catalog.manifest import CodecFigures, Cut, ScoreKind
from collabd.catalog.scores import as_classes
from collabd.codec import FEATURE_CODECS, IMAGE_CODECS, CodecError, decode, encode
from collabd.engine import Engine
from collabd.partition import CutSpec, Network
from collabd.profiling.evidence import worth

LOSSLESS = frozenset({"f32", "u8"})
_SCALED = frozenset({"q8", "q4"})
_BATCH = 32
_CACHE_BYTES = 1 << 30
_KEY = "calibration"
_log = logging.getLogger(__name__)


@dataclass
class _Trial:
    """One codec with one choice of scales, tried on image after image."""

    codec: str
    channel_axis: int | None
    sizes: list[int] = field(default_factory=list)
    agreed: int = 0
    refused: bool = False

    def figures(self, worth: int) -> CodecFigures:
        """Its figures, where all images together are worth so many."""
        median, high = (int(np.percentile(self.sizes, part, method="higher")) for part in (50, 95))
        compared = 0 if self.codec in LOSSLESS else worth
        agreed = self.agreed * worth // len(self.sizes)
        return CodecFigures(self.codec, self.channel_axis, median, high, agreed, compared)


class Calibration:
    """Sends sample images through a network, cut here and there, and compares with the network unsplit.

    `images` is uint8 [images, height, width, 3], at least one, already of the network's size.
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

    def cut(self, spec: CutSpec, kind: ScoreKind = "logits") -> Cut:
        """Bytes and top-1 agreement of every codec at one cut; of the choices of scales the better one.

        Of several independent labels the most probable is the top-1; of a single one, whether it applies.
        """
        decided = self.decided(kind)
        trials = [_Trial(codec, axis) for codec, axis in self._choices(spec)]
        for start, pixels in self._parts():
            features = self._features(spec, pixels)
            for trial in trials:
                self._try(trial, features, decided[start : start + len(pixels)], kind)
        best = _best([trial.figures(worth(decided)) for trial in trials if not trial.refused])
        _log.info("cut %s: %s", spec.name, best)
        return Cut(spec.name, spec.head_layers, spec.tensors, best)

    def _parts(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self.images), self._batch):
            yield start, self.images[start : start + self._batch]

    def _choices(self, spec: CutSpec) -> Iterator[tuple[str, int | None]]:
        for codec in codecs_at(spec):
            yield codec, None
            if codec in _SCALED and self._has_channels(spec):
                yield codec, 1

    def _has_channels(self, spec: CutSpec) -> bool:
        """A scale for each channel means something for [batch, channels, height, width] alone."""
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
        self, trial: _Trial, features: dict[str, np.ndarray], expected: npt.NDArray[np.intp], kind: ScoreKind
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
    """A cut of which no image tells: the codecs that lose nothing, with the bytes that they take at most."""
    most = sum(network.tensor(name).nbytes for name in spec.tensors)
    lossless = (CodecFigures(codec, None, most, most, 0, 0) for codec in codecs_at(spec) if codec in LOSSLESS)
    return Cut(spec.name, spec.head_layers, spec.tensors, tuple(lossless))


def _cross(features: dict[str, np.ndarray], images: int, trial: _Trial) -> tuple[dict[str, np.ndarray], list[int]]:
    """What arrives when each image's features are sent by themselves, and how many bytes that took."""
    arrived: dict[str, list[np.ndarray]] = {name: [] for name in features}
    sizes = [0] * images
    for index in range(images):
        for name, array in features.items():
            one = array[index : index + 1] if images > 1 else array
            encoded = encode(one, trial.codec, trial.channel_axis)
            sizes[index] += len(encoded.payload)
            arrived[name].append(decode(encoded.payload, encoded.parameters, one.dtype, one.shape))
    return {name: np.concatenate(arrays) for name, arrays in arrived.items()}, sizes


def _best(tried: Sequence[CodecFigures]) -> tuple[CodecFigures, ...]:
    """One choice a codec: the one that agrees more often, of equals the one of fewer bytes."""
    best: dict[str, CodecFigures] = {}
    for figures in tried:
        known = best.get(figures.codec)
        if known is None or (figures.agreed, -figures.bytes_median) > (known.agreed, -known.bytes_median):
            best[figures.codec] = figures
    return tuple(best.values())
