"""Which networks make a pair, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from collab_sdk.errors import InvalidRequest
from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.authoring.pairing import pair
from collabd.catalog.package.package import GRAPHS, Package, load, rewritten
from collabd.catalog.package.sureness import sureness
from collabd.profiling.calibrate import Calibration
from tests.pair_networks import (
    COLOURS,
    big_package,
    little_in_both_precisions,
    little_package,
    paired_packages,
    pictures,
)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return big_package(tmp_path_factory.mktemp("pair") / "big")


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return little_package(tmp_path_factory.mktemp("pair") / "little")


def test_a_pair(tmp_path: Path) -> None:
    big, little = paired_packages(tmp_path)
    named = load(big.path).manifest.little
    assert named is not None
    assert (named.package, named.digest) == ("little", little.digest)
    assert big.manifest.cuts == big_package(tmp_path / "alone").manifest.cuts
    # Half of the pictures are plain, and only in the mixed ones a corner says little of the whole.
    (ladder,) = named.ladders
    assert any(0.4 <= each.share <= 0.8 and each.total(1.0) >= 0.98 for each in ladder.thresholds)


def test_each_precision_of_the_little_network_is_measured(big: Package, tmp_path: Path) -> None:
    little = little_in_both_precisions(tmp_path)
    counted = pictures(900)
    named = pair(big, little, counted, out=tmp_path / "out").manifest.little
    assert named is not None
    assert [ladder.precision for ladder in named.ladders] == list(GRAPHS)
    for ladder in named.ladders:
        of_network = little.networks()[ladder.precision]
        logits = Calibration(of_network, np.stack(counted)).outputs["logits"]
        sure = sureness(logits, ScoreKind.LOGITS, ladder.score)
        # What a rung says of the share is what this very precision is sure of, and not the other.
        assert [each.share for each in ladder.thresholds] == [(sure >= each.least).mean() for each in ladder.thresholds]


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (("red", "green", "violet"), "big has 1 that little lacks (blue)"),
        (("green", "red", "blue"), "the same labels in different orders"),
        ((*COLOURS[:2], "cyan"), "1 that little lacks (blue)"),
    ],
)
def test_other_labels(big: Package, tmp_path: Path, labels: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        pair(big, little_package(tmp_path / "little", labels=labels), pictures(300), out=tmp_path / "out")
    assert why in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_too_few_pictures(big: Package, little: Package, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"big is sure of \d+ of the 60 calibration images that differ; a pair ne"):
        pair(big, little, pictures(60), out=tmp_path / "out")
    with pytest.raises(InvalidRequest, match="there are no calibration images"):
        pair(big, little, [], out=tmp_path / "out")


def test_copies_count_once(big: Package, little: Package, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="of the 50 calibration images that differ"):
        pair(big, little, pictures(50) * 10, out=tmp_path / "out")


def test_a_network_is_not_its_own_little_one(big: Package, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="its own little network"):
        pair(big, big, pictures(300), out=tmp_path / "out")


def test_independent_labels(big: Package, little: Package, tmp_path: Path) -> None:
    task = msgspec.structs.replace(little.manifest.task, output_kind=ScoreKind.INDEPENDENT)
    other = rewritten(little, msgspec.structs.replace(little.manifest, task=task), tmp_path / "independent")
    with pytest.raises(InvalidRequest, match="a probability by itself"):
        pair(big, other, pictures(300), out=tmp_path / "out")


def test_networks_that_agree_too_rarely(big: Package, little: Package, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    # The corner is of one colour, and all else of the next.
    made = []
    for index in range(600):
        picture = np.full((16, 16, 3), 60, np.uint8) + rng.integers(0, 30, (16, 16, 3), dtype=np.uint8)
        picture[..., index % 3] += 100
        picture[:8, :8] = np.roll(picture[:8, :8], 1, axis=2)
        made.append(picture + rng.integers(0, 60, (1, 1, 3), dtype=np.uint8))
    with pytest.raises(InvalidRequest, match="the two agree too rarely"):
        pair(big, little, made, out=tmp_path / "out")
