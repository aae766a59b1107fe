"""What each codec makes of one real feature, and in what time."""

from __future__ import annotations

import math

import numpy as np

from collabd.catalog.package.manifest import CodecFigures, Cut
from collabd.codec import decode, encode
from collabd.engine import Engine
from collabd.imaging import prepare
from tests.bench.shipped import Shipped
from tests.bench.stopwatch import repeated
from tests.bench.table import table

_FEATURE_BYTES = 75_000
_REPEATS = 500


def measure(network: Shipped) -> None:
    """Print it for the cut of `network` whose feature is nearest to 75 kB, and for the image beside it."""
    manifest = network.package.manifest
    graph = network.package.network()
    image = prepare(network.images[0], manifest.require_picture())

    def distance(cut: Cut) -> float:
        return abs(math.log(graph.tensor(cut.tensors[0]).nbytes / _FEATURE_BYTES))

    cut = min((cut for cut in manifest.cuts[1:] if len(cut.tensors) == 1), key=distance)
    engine = Engine(threads=1, cache_bytes=2**28)
    engine.add("", graph)
    feature = engine.run("", {manifest.input_names[0]: image}, cut.tensors)[cut.tensors[0]]
    rows = [_row("feature", feature, figures, feature.nbytes) for figures in cut.codecs if figures.in_fp32]
    rows += [_row("image", image, figures, feature.nbytes) for figures in manifest.cuts[0].codecs if figures.in_fp32]
    print(table(("Codec", "of", "scales", "bytes", "to fp32 feature", "encode", "decode"), rows))
    print(f"{network.name}, cut {cut.name}, feature {list(feature.shape)}, {feature.nbytes} bytes in fp32.\n")


def _row(kind: str, array: np.ndarray, figures: CodecFigures, whole: int) -> tuple[str, ...]:
    axis = figures.channel_axis
    encoded = encode(array, figures.codec, axis)
    encode_s = repeated(lambda: encode(array, figures.codec, axis), _REPEATS)
    decode_s = repeated(
        lambda: decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape), _REPEATS
    )
    size = len(encoded.payload)
    scales = "" if figures.codec not in {"q8", "q4"} else "1" if axis is None else str(array.shape[axis])
    times = (f"{np.median(seconds) * 1e6:.0f} µs" for seconds in (encode_s, decode_s))
    return figures.codec, kind, scales, f"{size} B", f"1/{whole / size:.1f}", *times
