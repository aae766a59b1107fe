"""How the layers of a network hang together."""

from __future__ import annotations

from pathlib import Path

from collabd.catalog.package.package import Package
from collabd.device.models.model import DeviceModel
from collabd.device.report.layer_inputs import layer_inputs
from tests.task_networks import package_of


def read_by(package: Package) -> dict[str, list[str]]:
    """By the name of each layer, those that it reads."""
    names = ["input", *(layer.name for layer in package.manifest.layers)]
    found = layer_inputs(DeviceModel(package, package.networks()))
    return {name: [names[at + 1] for at in read] for name, read in zip(names[1:], found, strict=True)}


def test_a_chain_is_a_chain(tiny_package: Package) -> None:
    read = list(read_by(tiny_package).items())
    assert [sources for _, sources in read] == [["input"], *([name] for name, _ in read[:-1])]


def test_an_input_that_is_needed_late_is_read_late(tmp_path: Path) -> None:
    """The gain of the mixer is read by its last node alone, beside what comes from the others."""
    read = read_by(package_of("tensors", tmp_path / "mixer"))
    assert "input" in list(read.values())[-1]
    assert all(sources for sources in read.values())


def test_what_parts_meets_again(tmp_path: Path) -> None:
    """The boxes of the detector are made of its best scores and of all its boxes."""
    read = read_by(package_of("detect", tmp_path / "finder"))
    assert any(len(sources) > 1 for sources in read.values()), read
