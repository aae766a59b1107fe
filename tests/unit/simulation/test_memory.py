"""A camera that is parked inherits answers, and what is inherited is judged by the frame that it serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collabd.catalog.package.package import Package
from collabd.profiling.profile import Profile
from collabd.simulation.answers import Answers
from collabd.simulation.compare import Scenario, compare
from collabd.simulation.pictures import ShownPictures, SimulatedCamera
from collabd.simulation.realised import Judge
from collabd.simulation.shown import Shown
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Workload
from collabd.simulation.world import Outcome

REQUESTS = 300


@pytest.fixture
def pictures(tiny_images: list[np.ndarray]) -> ShownPictures:
    return ShownPictures(np.stack(tiny_images), ((16, 16),) * len(tiny_images))


@pytest.fixture
def answers(tiny_package: Package, pictures: ShownPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return Answers(tiny_package, pictures)


@pytest.fixture
def outcomes(tiny_package: Package, tiny_profile: Profile, pictures: ShownPictures, answers: Answers) -> list[Outcome]:
    return watched(
        tiny_package, tiny_profile, SimulatedCamera(pictures, requests=REQUESTS, parked=0.95, seed=0), answers
    )


def watched(
    package: Package, profile: Profile, camera: SimulatedCamera, answers: Answers, *without: str
) -> list[Outcome]:
    work = Workload(
        package,
        profile,
        slowdown=8.0,
        requests=REQUESTS,
        seed=0,
        without=without,
        shown=Shown(camera, answers),
    )
    scenario = Scenario(trace=Trace.constant(1e3), every_s=0.5, rtt_s=None, min_fidelity=0.9)
    return compare(work, scenario, ["collabd"])["collabd"]


def test_a_parked_camera_inherits(outcomes: list[Outcome]) -> None:
    inherited = [one for one in outcomes if one.inherited_from is not None]
    assert len(inherited) > REQUESTS / 10
    for one in inherited:
        assert one.inherited_from is not None
        origin = outcomes[one.inherited_from]
        assert origin.inherited_from is None
        assert origin.started_s < one.started_s
        assert one.latency_s < origin.latency_s


def test_without_a_memory_each_frame_is_answered(
    tiny_package: Package, tiny_profile: Profile, pictures: ShownPictures, answers: Answers
) -> None:
    camera = SimulatedCamera(pictures, requests=REQUESTS, parked=0.95, seed=0)
    outcomes = watched(tiny_package, tiny_profile, camera, answers, "inherit")
    assert all(one.inherited_from is None for one in outcomes)


def test_what_is_inherited_is_judged_by_the_frame_that_it_serves(
    tiny_package: Package, pictures: ShownPictures, answers: Answers, outcomes: list[Outcome]
) -> None:
    parked, moving = (SimulatedCamera(pictures, requests=REQUESTS, parked=share, seed=0) for share in (0.95, 0.0))
    found = Judge(tiny_package.manifest, parked, answers=answers).realised(outcomes)
    # The same answers would have been wrong, had the camera moved.
    moved = Judge(tiny_package.manifest, moving, answers=answers).realised(outcomes)
    assert found is not None
    assert moved is not None
    assert found["mean"] > 0.9
    assert moved["mean"] < 0.9
