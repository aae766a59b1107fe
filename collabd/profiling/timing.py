"""Measure how long each part of a call takes on this machine: preparation, heads, codecs and tails."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np
from PIL import Image

from collabd.catalog.package.manifest import CodecFigures, Cut, Preprocessing
from collabd.catalog.package.package import Package
from collabd.codec import Encoded, decode, encode
from collabd.engine import Engine
from collabd.imaging import prepare
from collabd.profiling.machine import describe
from collabd.profiling.profile import CodecTimes, CutTimes, Profile

_ROUNDS = 3
_REPEATS = 4
_T = TypeVar("_T")
_Part = tuple[str, ...]


def measure(package: Package, engine: Engine, *, rounds: int = _ROUNDS) -> Profile:
    """The profile of `package`, whose network `engine` holds under the package's digest. Blocks for all of it."""
    pieces = steps(package, engine, rounds=rounds)
    while (profile := advance(pieces)) is None:
        pass
    return profile


def advance(pieces: Generator[None, None, Profile]) -> Profile | None:
    """Run the next piece of `steps`; the profile once there are no more."""
    try:
        next(pieces)
    except StopIteration as finished:
        profile: Profile = finished.value
        return profile
    return None


def steps(
    package: Package, engine: Engine, *, key: str | None = None, rounds: int = _ROUNDS
) -> Generator[None, None, Profile]:
    """`measure` in small pieces. `next` runs one piece, so that a daemon can serve requests in between.

    A piece builds one session, or runs one part of a call once. The profile is the generator's return value. Every
    round measures everything, so that other work, which comes and goes, slows all parts alike. `key`: the engine's name
    of the network, if not the digest.
    """
    measurement = _Measurement(package, engine, key or package.digest)
    for _ in range(rounds):
        yield from measurement.round()
    return measurement.profile()


class _Measurement:
    def __init__(self, package: Package, engine: Engine, key: str) -> None:
        self._key, self._digest = key, package.digest
        self._manifest = package.manifest
        self._engine = engine
        self._image = _photograph(package.manifest.preprocessing)
        self._taken: defaultdict[_Part, list[float]] = defaultdict(list)

    def round(self) -> Generator[None, None, None]:
        """Measure every part once more."""
        manifest = self._manifest
        pixels = yield from self._time(("prep",), partial(prepare, self._image, manifest.preprocessing))
        image = {manifest.input: pixels}
        yield from self._run(("whole",), image, (manifest.output,))
        for cut in manifest.cuts:
            features = image
            if cut.head_layers:
                made = tuple(name for name in cut.tensors if name != manifest.input)
                features = image | (yield from self._run(("head", cut.name), image, made))
                features = {name: features[name] for name in cut.tensors}
                yield from self._run(("tail", cut.name), features, (manifest.output,))
            for figures in cut.codecs:
                yield from self._codec(cut, figures, tuple(features.values()))

    def profile(self) -> Profile:
        """The profile by the rounds so far."""
        spreads = [np.quantile(taken, 0.9) / np.median(taken) for taken in self._taken.values()]
        return Profile(
            digest=self._digest,
            machine=describe(),
            threads=self._engine.threads,
            prep_ms=self._median("prep"),
            whole_ms=self._median("whole"),
            spread=float(np.median(spreads)),
            cuts=tuple(self._cut_times(cut) for cut in self._manifest.cuts),
        )

    def _cut_times(self, cut: Cut) -> CutTimes:
        codecs = (
            CodecTimes(
                figures.codec,
                self._median("encode", cut.name, figures.codec),
                self._median("decode", cut.name, figures.codec),
            )
            for figures in cut.codecs
        )
        if not cut.head_layers:
            return CutTimes(cut.name, 0.0, self._median("whole"), tuple(codecs))
        return CutTimes(cut.name, self._median("head", cut.name), self._median("tail", cut.name), tuple(codecs))

    def _median(self, *part: str) -> float:
        return float(np.median(self._taken[part]))

    def _codec(self, cut: Cut, figures: CodecFigures, arrays: Sequence[np.ndarray]) -> Generator[None, None, None]:
        encoded = yield from self._time(("encode", cut.name, figures.codec), partial(_encode, figures, arrays))
        yield from self._time(("decode", cut.name, figures.codec), partial(_decode, encoded, arrays))

    def _run(
        self, part: _Part, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> Generator[None, None, dict[str, np.ndarray]]:
        self._engine.prepare(self._key, tuple(feeds), outputs)
        yield
        return (yield from self._time(part, partial(self._engine.run, self._key, feeds, outputs)))

    def _time(self, part: _Part, work: Callable[[], _T]) -> Generator[None, None, _T]:
        """Time `work` several times, after a first run that does not count. Returns what `work` returns."""
        result = work()
        yield
        for _ in range(_REPEATS):
            start = perf_counter()
            work()
            self._taken[part].append((perf_counter() - start) * 1000)
            yield
        return result


def _encode(figures: CodecFigures, arrays: Sequence[np.ndarray]) -> list[Encoded]:
    return [encode(array, figures.codec, figures.channel_axis) for array in arrays]


def _decode(encoded: Sequence[Encoded], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        decode(one.payload, one.parameters, dtype=array.dtype, shape=array.shape)
        for one, array in zip(encoded, arrays, strict=True)
    ]


def _photograph(wanted: Preprocessing) -> bytes:
    """A JPEG of the size that the network looks at, as detailed as a photograph, and the same every time."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    width, height = (wanted.resize_shorter or side for side in (wanted.width, wanted.height))
    jpeg = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(jpeg, "JPEG", quality=90)
    return jpeg.getvalue()
