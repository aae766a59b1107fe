from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Preprocessing
from collabd.catalog.package.package import Package
from collabd.engine import Engine
from collabd.profiling import machine
from collabd.profiling.profile import Profile
from collabd.profiling.timing import measure, steps


@pytest.fixture
def engine(tiny_package: Package) -> Engine:
    engine = Engine(threads=1, cache_bytes=1 << 24)
    engine.add(tiny_package.digest, tiny_package.network())
    return engine


@pytest.fixture
def profile(tiny_package: Package, engine: Engine) -> Profile:
    return measure(tiny_package, engine, rounds=2)


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


def test_a_step_runs_the_network_once_at_most(tiny_package: Package, engine: Engine) -> None:
    """So that a request which comes meanwhile waits for one call at most."""
    pieces = steps(tiny_package, engine, rounds=1)
    asked = [0]
    for _ in pieces:
        stats = engine.stats
        asked.append(stats.hits + stats.builds)
    assert max(after - before for before, after in pairwise(asked)) == 1
    assert asked[-1] > 3 * len(tiny_package.manifest.cuts)


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
        labels=("a", "b", "c"),
        preprocessing=Preprocessing(height=16, width=16),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=tiny_images[:5],
        out=tmp_path / "twice",
    )
    assert {"image"} < set(package.manifest.cuts[1].tensors)
    engine = Engine(threads=1, cache_bytes=1 << 24)
    engine.add(package.digest, package.network())
    profile = measure(package, engine, rounds=1)
    assert [cut.cut for cut in profile.cuts] == [cut.name for cut in package.manifest.cuts]
    assert min(cut.head_ms for cut in profile.cuts[1:]) > 0


def test_measuring_can_be_given_up(tiny_package: Package, engine: Engine) -> None:
    pieces = steps(tiny_package, engine)
    next(pieces)
    pieces.close()
    assert measure(tiny_package, engine, rounds=1).digest == tiny_package.digest
