from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.vocabulary import Precision
from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import GRAPHS, Package
from collabd.engine import Engine, keys_of
from collabd.profiling import machine
from collabd.profiling.profile import Profile
from collabd.profiling.timing import advance, measure, steps


@pytest.fixture
def engine(tiny_package: Package) -> Engine:
    engine = Engine(threads=1, cache_bytes=1 << 24)
    engine.add(tiny_package.digest, tiny_package.network())
    return engine


@pytest.fixture
def profile(tiny_package: Package, engine: Engine) -> Profile:
    return measure(tiny_package, tiny_package.networks(), engine, rounds=2)


def test_a_profile_says_of_what_and_where(tiny_package: Package, engine: Engine, profile: Profile) -> None:
    assert (profile.digest, profile.threads) == (tiny_package.digest, engine.threads)
    assert profile.machine == machine.describe()


def test_every_cut_and_codec_of_the_package_is_measured(tiny_package: Package, profile: Profile) -> None:
    measured = [(cut.cut, [codec.codec for codec in cut.codecs]) for cut in profile.cuts]
    assert measured == [(cut.name, [figures.codec for figures in cut.codecs]) for cut in tiny_package.manifest.cuts]


def test_all_that_runs_takes_time(profile: Profile) -> None:
    def times() -> Iterator[float]:
        yield from (profile.prep_ms, profile.whole_ms)
        for cut in profile.cuts:
            yield cut.tail_ms
            yield from (time for codec in cut.codecs for time in (codec.encode_ms, codec.decode_ms))
        yield from (cut.head_ms for cut in profile.cuts[1:])

    assert min(times()) > 0
    assert profile.spread >= 1


def test_the_image_cut_has_no_head_and_the_whole_network_behind_it(profile: Profile) -> None:
    image = profile.cuts[0]
    assert (image.head_ms, image.tail_ms) == (0.0, profile.whole_ms)


def test_a_step_runs_a_network_that_takes_its_time_once_at_most(tiny_package: Package, engine: Engine) -> None:
    """So that a request which comes meanwhile waits for one call at most."""
    pieces = steps(tiny_package, tiny_package.networks(), engine, rounds=1, clock=count(step=0.01).__next__)
    asked = [0]
    for _ in pieces:
        stats = engine.stats
        asked.append(stats.hits + stats.builds)
    assert max(after - before for before, after in pairwise(asked)) == 1
    assert asked[-1] > 3 * len(tiny_package.manifest.cuts)


def test_what_takes_a_millisecond_runs_several_times_in_a_row(tiny_package: Package, engine: Engine) -> None:
    """A machine with a quota of CPU time would run a single one at full speed, after each pause."""
    pieces = steps(tiny_package, tiny_package.networks(), engine, rounds=1, clock=count(step=0.001).__next__)
    ran = []
    while (done := advance(pieces)) is None:
        ran.append(engine.stats.hits + engine.stats.builds)
    assert max(after - before for before, after in pairwise(ran)) == 3
    # The clock advances once while they run, so that each took a third of that.
    assert done.whole_ms == pytest.approx(1 / 3)


def test_a_cut_that_the_image_crosses_too_is_measured(
    tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    """The last nodes colour the image by the scores, so that it is alive at every cut."""
    model = onnx.ModelProto()
    model.CopyFrom(tiny_model)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), "axes"))
    model.graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["logits", "axes"], ["gains"]),
            helper.make_node("Cast", ["image"], ["again"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["again", "gains"], ["tinted"]),
            helper.make_node("ReduceMean", ["tinted", "axes"], ["tint"], keepdims=0),
        ]
    )
    model.graph.output[0].name = "tint"
    package = build(
        model,
        name="twice",
        task=Classify(labels=("a", "b", "c")),
        picture=Picture(height=16, width=16),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=tiny_images[:5],
        out=tmp_path / "twice",
    )
    assert {"image"} < set(package.manifest.cuts[1].tensors)
    engine = Engine(threads=1, cache_bytes=1 << 24)
    engine.add(package.digest, package.network())
    profile = measure(package, package.networks(), engine, rounds=1)
    assert [cut.cut for cut in profile.cuts] == [cut.name for cut in package.manifest.cuts]
    assert min(cut.head_ms for cut in profile.cuts[1:]) > 0


def test_measuring_can_be_given_up(tiny_package: Package, engine: Engine) -> None:
    pieces = steps(tiny_package, tiny_package.networks(), engine)
    next(pieces)
    pieces.close()
    assert measure(tiny_package, tiny_package.networks(), engine, rounds=1).digest == tiny_package.digest


def test_each_precision_is_measured(int8_package: Package) -> None:
    engine, networks = Engine(threads=1, cache_bytes=1 << 24), int8_package.networks()
    for precision, key in keys_of(int8_package.digest, networks).items():
        engine.add(key, networks[precision])
    profile = measure(int8_package, networks, engine, rounds=1)
    assert profile.precisions == ("fp32", "int8")
    assert profile.is_complete(int8_package.manifest, tuple(networks))
    image, *others = profile.cuts
    assert image.parts(Precision.INT8).tail_ms == profile.whole_int8_ms
    for times in others:
        parts = [times.parts(precision) for precision in GRAPHS]
        assert min(min(each.head_ms, each.tail_ms) for each in parts) > 0
    cuts = int8_package.manifest.cuts
    in_fp32 = [[each.codec for each in cut.codecs if each.head == each.tail == Precision.FP32] for cut in cuts]
    assert [[codec.codec for codec in times.codecs] for times in profile.cuts] == in_fp32
