"""Every input that once broke something is refused or served now, as are the seeds that `make fuzz` starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, Target

KEPT = [pytest.param(target, path, id=f"{target.name}-{path.name}") for target in TARGETS for path in target.kept()]


@pytest.mark.parametrize(("target", "path"), KEPT)
def test_what_once_broke_something_is_harmless(target: Target, path: Path) -> None:
    target.edge.check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_pass(target: Target) -> None:
    seeds = target.edge.seeds()
    assert seeds
    for seed in seeds:
        target.edge.check(seed)


def test_every_input_and_every_edge_belongs_to_a_target() -> None:
    names = {target.name for target in TARGETS}
    edges = {path.stem for path in Path(__file__).with_name("edges").glob("*.py")}
    assert names == edges
    assert {path.name for path in CORPUS.iterdir()} <= names
