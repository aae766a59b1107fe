"""What a package says of its little network, and how sure a network is."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from collab_sdk.vocabulary import Precision, ScoreKind, Sureness
from collabd.catalog.package.faults import inconsistencies
from collabd.catalog.package.little import Ladder, Little, Threshold, little_report
from collabd.catalog.package.package import GRAPHS, Package
from collabd.catalog.package.promise import promised
from collabd.catalog.package.sureness import opinion, sureness

THRESHOLD = Threshold(least=0.8, share=0.5, sure_share=0.6, agreed=298, images=300)
LADDER = Ladder(score=Sureness.MARGIN, thresholds=(THRESHOLD,))
INT8 = Ladder(precision=Precision.INT8, score=Sureness.MAX, thresholds=(THRESHOLD,))
LITTLE = Little(package="small", digest=f"sha256:{'a' * 64}", ladders=(LADDER, INT8))


def test_both_together_are_as_faithful_as_what_each_answers() -> None:
    assert THRESHOLD.total(1.0) == pytest.approx(0.6 * promised(298, 300) + 0.4)
    # Whatever the plan for the other pictures changes may be among these.
    assert THRESHOLD.total(0.99) == pytest.approx(0.6 * promised(298, 300) + 0.4 - 0.01)
    # What was learned in service is said of both, with a big network that changes nothing.
    assert THRESHOLD.total(0.99, 0.985) == pytest.approx(0.985 - 0.01)


def test_each_precision_has_a_ladder_of_its_own() -> None:
    assert [LITTLE.ladder(each) for each in GRAPHS] == [LADDER, INT8]
    assert msgspec.structs.replace(LITTLE, ladders=(INT8,)).ladder(Precision.FP32) is None


def test_what_is_told() -> None:
    told = little_report(LITTLE, "it is missing")
    assert (told["model"], told["off"]) == ("small", "it is missing")
    assert [(each["precision"], each["score"]) for each in told["ladders"]] == [("fp32", "margin"), ("int8", "max")]
    assert told["ladders"][0]["thresholds"][0]["fidelity"] == THRESHOLD.total(1.0)


def of_thresholds(*thresholds: Threshold) -> dict[str, object]:
    return {"ladders": (INT8, msgspec.structs.replace(LADDER, thresholds=thresholds))}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"package": "tiny"}, "its own little network"),
        ({"package": "no/name"}, "the name of the little network"),
        ({"digest": "sha256:1"}, "digest"),
        ({"ladders": ()}, "no thresholds"),
        ({"ladders": (LADDER, LADDER)}, "thresholds of one precision twice"),
        (of_thresholds(), "no thresholds in fp32"),
        (of_thresholds(THRESHOLD, THRESHOLD), "do not fall"),
        (of_thresholds(msgspec.structs.replace(THRESHOLD, share=1.5)), "impossible shares"),
        (of_thresholds(msgspec.structs.replace(THRESHOLD, least=math.nan)), "impossible shares"),
        (of_thresholds(msgspec.structs.replace(THRESHOLD, agreed=301)), "301 of 300 agreed"),
    ],
)
def test_what_cannot_be_is_refused(tiny_package: Package, changes: dict[str, object], fault: str) -> None:
    sound = msgspec.structs.replace(tiny_package.manifest, little=LITTLE)
    assert inconsistencies(sound) == []
    broken = msgspec.structs.replace(sound, little=msgspec.structs.replace(LITTLE, **changes))
    assert fault in "; ".join(inconsistencies(broken))


def test_only_classifiers_of_one_right_label_have_a_little_network(tiny_package: Package) -> None:
    task = msgspec.structs.replace(tiny_package.manifest.task, output_kind=ScoreKind.INDEPENDENT)
    manifest = msgspec.structs.replace(tiny_package.manifest, little=LITTLE, task=task)
    assert "one right label" in "; ".join(inconsistencies(manifest))


SHARES = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]], np.float32)


@pytest.mark.parametrize("kind", [ScoreKind.PROBABILITIES, ScoreKind.LOGITS])
def test_sureness(kind: ScoreKind) -> None:
    scores = SHARES if kind is ScoreKind.PROBABILITIES else np.log(SHARES) + np.float32(3)
    entropy = 1 + (SHARES * np.log(SHARES)).sum(axis=1) / math.log(3)
    np.testing.assert_allclose(sureness(scores, kind, Sureness.MAX), [0.7, 0.4], atol=1e-6)
    np.testing.assert_allclose(sureness(scores, kind, Sureness.MARGIN), [0.5, 0.05], atol=1e-6)
    np.testing.assert_allclose(sureness(scores, kind, Sureness.ENTROPY), entropy, atol=1e-6)


@pytest.mark.parametrize("measure", Sureness)
def test_a_certain_answer_is_surest_and_a_broken_one_is_never_sure(measure: Sureness) -> None:
    certain = np.array([[1.0, 0.0, 0.0]], np.float32)
    assert sureness(certain, ScoreKind.PROBABILITIES, measure) == pytest.approx([1.0])
    broken = np.array([[np.nan, 0.5, 0.5]], np.float32)
    assert not sureness(broken, ScoreKind.PROBABILITIES, measure)[0] >= 0.0


def test_an_opinion_is_the_class_and_how_sure_it_is(tiny_package: Package) -> None:
    (output,) = tiny_package.manifest.output_names
    said = opinion(tiny_package.manifest, {output: np.array([[0.0, 9.0, 0.0]], np.float32)}, Sureness.MAX)
    assert said.decided == 1
    assert said.sureness > 0.99
