"""Measure how long each part of a call takes on this machine: preparation, heads, codecs and tails."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np
from PIL import Image

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Agreement, CodecFigures, Cut, Picture, blank_inputs
from collabd.catalog.package.package import Package
from collabd.codec import Encoded, decode, encode
from collabd.engine import Engine, keys_of
from collabd.imaging import prepare
from collabd.partition import Network
from collabd.profiling.machine import describe
from collabd.profiling.profile import CodecTimes, CutTimes, Profile, VariantTimes

_ROUNDS = 3
_REPEATS = 4
# What takes less than this is run several times in a row, and their mean counts. Where the CPU time is limited
# (CPUQuota= of systemd, a container), the first millisecond after a pause runs at full speed, and all else at the true
# one.
_LEAST_S = 3e-3
_MOST_IN_A_ROW = 8
_T = TypeVar("_T")
_Part = tuple[str, ...]
Networks: TypeAlias = Mapping[Precision, Network]


def measure(
    package: Package,
    networks: Networks,
    engine: Engine,
    *,
    rounds: int = _ROUNDS,
    clock: Callable[[], float] = perf_counter,
) -> Profile:
    """The profile of `package`. The engine holds its `networks` by `keys_of` the package's digest. Blocks for all.

    `clock`: seconds.
    """
    pieces = steps(package, networks, engine, rounds=rounds, clock=clock)
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
    package: Package,
    networks: Networks,
    engine: Engine,
    *,
    keys: Mapping[Precision, str] | None = None,
    bf16_agreement: Agreement | None = None,
    rounds: int = _ROUNDS,
    clock: Callable[[], float] = perf_counter,
) -> Generator[None, None, Profile]:
    """`measure` in small pieces. `next` runs one piece, so that a daemon can serve requests in between.

    A piece builds one session, or runs one part of a call: once, or several times where that takes a few milliseconds
    only. The profile is the generator's return value. Every
    round measures everything, so that other work, which comes and goes, slows all parts alike. `keys`: the engine's
    names of the networks, if not those of the digest. `bf16_agreement`: what was counted of bf16, if that is among the
    networks. `clock`: seconds.
    """
    keys = keys or keys_of(package.digest, networks)
    measurement = _Measurement(package, networks, engine, keys=keys, clock=clock)
    for _ in range(rounds):
        yield from measurement.round()
    return msgspec.structs.replace(measurement.profile(), bf16_agreement=bf16_agreement)


class _Measurement:
    def __init__(
        self,
        package: Package,
        networks: Networks,
        engine: Engine,
        *,
        keys: Mapping[Precision, str],
        clock: Callable[[], float],
    ) -> None:
        self._keys, self._digest, self._clock = keys, package.digest, clock
        self._manifest = package.manifest
        self._networks = networks
        self._engine = engine
        self._taken: defaultdict[_Part, list[float]] = defaultdict(list)

    def round(self) -> Generator[None, None, None]:
        """Measure every part once more."""
        manifest = self._manifest
        inputs = yield from self._inputs()
        for precision in self._networks:
            yield from self._run((precision, "whole"), inputs, manifest.output_names)
        for cut in manifest.cuts:
            features = inputs
            if cut.head_layers:
                # In fp32 last: its features are those that the codecs get.
                for precision in reversed(tuple(self._networks)):
                    features = yield from self._parts(precision, cut, inputs)
            for figures in _each_codec(cut):
                yield from self._codec(cut, figures, tuple(features.values()))

    def profile(self) -> Profile:
        """The profile by the rounds so far."""
        spreads = [np.quantile(taken, 0.9) / np.median(taken) for taken in self._taken.values()]
        return Profile(
            digest=self._digest,
            machine=describe(provider=self._engine.providers(self._keys[Precision.FP32])[0]),
            threads=self._engine.threads,
            prep_ms=0.0 if self._manifest.picture is None else self._median("prep"),
            whole_ms=self._median(Precision.FP32, "whole"),
            spread=float(np.median(spreads)),
            cuts=tuple(self._cut_times(cut) for cut in self._manifest.cuts),
            whole_int8_ms=self._whole_ms(Precision.INT8),
            whole_bf16_ms=self._whole_ms(Precision.BF16),
        )

    def _inputs(self) -> Generator[None, None, dict[str, np.ndarray]]:
        """A prepared picture; for a network of tensors zeros, which take no preparation."""
        picture = self._manifest.picture
        if picture is None:
            return blank_inputs(self._manifest)
        pixels = yield from self._time(("prep",), partial(prepare, _photograph(picture), picture))
        return {self._manifest.input_names[0]: pixels}

    def _cut_times(self, cut: Cut) -> CutTimes:
        codecs = (
            CodecTimes(
                figures.codec,
                self._median("encode", cut.name, figures.codec),
                self._median("decode", cut.name, figures.codec),
            )
            for figures in _each_codec(cut)
        )
        fp32 = self._part_times(cut, Precision.FP32)
        int8, bf16 = (
            self._part_times(cut, each) if each in self._networks else None for each in (Precision.INT8, Precision.BF16)
        )
        return CutTimes(cut.name, fp32.head_ms, fp32.tail_ms, tuple(codecs), int8, bf16)

    def _whole_ms(self, precision: Precision) -> float | None:
        return self._median(precision, "whole") if precision in self._networks else None

    def _part_times(self, cut: Cut, precision: Precision) -> VariantTimes:
        if not cut.head_layers:
            return VariantTimes(0.0, self._median(precision, "whole"))
        return VariantTimes(self._median(precision, "head", cut.name), self._median(precision, "tail", cut.name))

    def _parts(
        self, precision: Precision, cut: Cut, inputs: Mapping[str, np.ndarray]
    ) -> Generator[None, None, dict[str, np.ndarray]]:
        """Measure what runs before and behind a cut. Returns the features that cross it."""
        network = self._networks[precision]
        made = tuple(name for name in cut.tensors if name not in inputs)
        feeds = {name: inputs[name] for name in network.needed(self._manifest.input_names, made)}
        known = {**inputs, **(yield from self._run((precision, "head", cut.name), feeds, made))}
        crossing, outputs = network.behind(cut.tensors)
        features = {name: known[name] for name in crossing}
        yield from self._run((precision, "tail", cut.name), features, outputs)
        return features

    def _median(self, *part: str) -> float:
        return float(np.median(self._taken[part]))

    def _codec(self, cut: Cut, figures: CodecFigures, arrays: Sequence[np.ndarray]) -> Generator[None, None, None]:
        encoded = yield from self._time(("encode", cut.name, figures.codec), partial(_encode, figures, arrays))
        yield from self._time(("decode", cut.name, figures.codec), partial(_decode, encoded, arrays))

    def _run(
        self, part: tuple[Precision, *_Part], feeds: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> Generator[None, None, dict[str, np.ndarray]]:
        key = self._keys[part[0]]
        self._engine.prepare(key, tuple(feeds), outputs)
        yield
        return (yield from self._time(part, partial(self._engine.run, key, feeds, outputs)))

    def _time(self, part: _Part, work: Callable[[], _T]) -> Generator[None, None, _T]:
        """Time `work` several times, after a first run that does not count. Returns what `work` returns."""
        start = self._clock()
        result = work()
        in_a_row = min(max(math.ceil(_LEAST_S / max(self._clock() - start, 1e-9)), 1), _MOST_IN_A_ROW)
        yield
        for _ in range(_REPEATS):
            start = self._clock()
            for _ in range(in_a_row):
                work()
            self._taken[part].append((self._clock() - start) / in_a_row * 1000)
            yield
        return result


def _each_codec(cut: Cut) -> Iterable[CodecFigures]:
    """The first figures of each codec. What a codec takes does not depend on the precision."""
    return reversed({figures.codec: figures for figures in reversed(cut.codecs)}.values())


def _encode(figures: CodecFigures, arrays: Sequence[np.ndarray]) -> list[Encoded]:
    return [encode(array, figures.codec, figures.channel_axis) for array in arrays]


def _decode(encoded: Sequence[Encoded], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        decode(one.payload, one.parameters, dtype=array.dtype, shape=array.shape)
        for one, array in zip(encoded, arrays, strict=True)
    ]


def _photograph(wanted: Picture) -> bytes:
    """A JPEG of the size that the network looks at, as detailed as a photograph, and the same every time."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    width, height = (wanted.resize_shorter or side for side in (wanted.width, wanted.height))
    jpeg = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(jpeg, "JPEG", quality=90)
    return jpeg.getvalue()
