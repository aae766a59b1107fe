"""Which profiles plans can be made of."""

from __future__ import annotations

import msgspec
import pytest

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Agreement, Classify, CodecFigures, Cut, Layer, Manifest, Picture, Port
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile, VariantTimes
from tests.bf16_stand_in import in_bf16

Q8, F32 = (CodecFigures(codec=codec, channel_axis=None, bytes_median=10, bytes_p95=12) for codec in ("q8", "f32"))
MANIFEST = Manifest(
    name="net",
    task=Classify(labels=("a", "b")),
    picture=Picture(height=8, width=8),
    inputs=(Port("image", "uint8", (None, 8, 8, 3)),),
    outputs=(Port("logits", "float32", (None, 2)),),
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


INT8 = msgspec.structs.replace(
    PROFILE,
    cuts=tuple(msgspec.structs.replace(times, int8=VariantTimes(0.5, 1.0)) for times in TIMES),
    whole_int8_ms=1.5,
)


def test_a_precision_is_timed_everywhere_or_nowhere() -> None:
    both = msgspec.structs.replace(MANIFEST, precisions=(Precision.FP32, Precision.INT8))
    assert INT8.is_complete(both, both.precisions)
    assert not INT8.is_complete(MANIFEST)
    assert PROFILE.is_complete(both)
    assert not PROFILE.is_complete(both, both.precisions)
    for part in (
        msgspec.structs.replace(INT8, cuts=TIMES),
        msgspec.structs.replace(INT8, cuts=(INT8.cuts[0], TIMES[1])),
        msgspec.structs.replace(INT8, whole_int8_ms=None),
    ):
        assert not part.is_complete(both)


def test_what_was_not_timed_is_told_from_what_takes_no_time() -> None:
    assert [INT8.whole_s(each) for each in INT8.precisions] == [0.003, 0.0015]
    for ask in (PROFILE.whole_s, PROFILE.cuts[1].parts):
        with pytest.raises(LookupError, match="not timed in int8"):
            ask(Precision.INT8)


def test_bf16_is_of_the_fp32_graph_and_comes_with_what_was_counted() -> None:
    timed = in_bf16(PROFILE)
    assert timed.is_complete(MANIFEST)
    assert timed.is_complete(MANIFEST, (Precision.FP32, Precision.BF16))
    assert not timed.is_complete(MANIFEST, MANIFEST.precisions)
    assert (timed.whole_s(Precision.BF16), timed.cuts[1].parts(Precision.BF16).tail_ms) == (0.0015, 1.0)
    impossible = Agreement(agreed=3, images=2, sure_agreed=0, sure_images=0)
    for part in (
        msgspec.structs.replace(timed, bf16_agreement=None),
        msgspec.structs.replace(timed, bf16_agreement=impossible),
        msgspec.structs.replace(timed, whole_bf16_ms=None),
        msgspec.structs.replace(timed, cuts=(timed.cuts[0], TIMES[1])),
    ):
        assert not part.is_complete(MANIFEST)
    assert timed.without_bf16 == PROFILE


def test_in_the_place_of_bf16_a_machine_computes_in_fp32_and_in_the_place_of_others_in_nothing_else() -> None:
    wanted = (Precision.FP32, Precision.INT8, Precision.BF16)
    assert [PROFILE.computed_as(each) for each in wanted] == [Precision.FP32, None, Precision.FP32]
    assert [in_bf16(PROFILE).computed_as(each) for each in wanted] == [Precision.FP32, None, Precision.BF16]
