"""Which profiles plans can be made of."""

from __future__ import annotations

import msgspec
import pytest

from collabd.catalog.package.manifest import CodecFigures, Cut, Layer, Manifest, Preprocessing
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile

Q8, F32 = (CodecFigures(codec=codec, channel_axis=None, bytes_median=10, bytes_p95=12) for codec in ("q8", "f32"))
MANIFEST = Manifest(
    name="net",
    labels=("a", "b"),
    preprocessing=Preprocessing(height=8, width=8),
    input="image",
    output="logits",
    dynamic_batch=True,
    layers=(
        Layer(name="conv", op="Conv", tensors=("relu",), macs=1),
        Layer(name="fc", op="Gemm", tensors=("logits",), macs=1),
    ),
    cuts=(
        Cut(name="image", head_layers=0, tensors=("image",), codecs=()),
        Cut(name="conv", head_layers=1, tensors=("relu",), codecs=(Q8, F32)),
    ),
    licence="CC0-1.0",
    provenance="made for the tests",
)
TIMES = (
    CutTimes("image", 0.0, 3.0, ()),
    CutTimes("conv", 1.0, 2.0, (CodecTimes("f32", 0.1, 0.1), CodecTimes("q8", 0.1, 0.1))),
)
PROFILE = Profile("sha256:0", Machine("a Pi", 4, "1.22.0", "0.1.0"), 1, 0.5, 3.0, 1.0, TIMES)


def test_one_that_times_every_cut_and_codec_is_complete() -> None:
    assert PROFILE.is_complete(MANIFEST)


@pytest.mark.parametrize(
    "times",
    [
        (),
        TIMES[1:],
        (*TIMES, CutTimes("pool", 1.0, 2.0, ())),
        (TIMES[0], msgspec.structs.replace(TIMES[1], codecs=TIMES[1].codecs[:1])),
        (TIMES[0], msgspec.structs.replace(TIMES[1], codecs=(*TIMES[1].codecs, CodecTimes("q4", 0.1, 0.1)))),
    ],
    ids=["nothing", "a cut is missing", "a cut too many", "a codec is missing", "a codec too many"],
)
def test_one_of_another_package_is_not(times: tuple[CutTimes, ...]) -> None:
    assert not msgspec.structs.replace(PROFILE, cuts=times).is_complete(MANIFEST)
