"""What a model knows of its network before it has run."""

from __future__ import annotations

from collabd.device.models.model import DeviceModel


def test_frontiers_are_those_of_the_cuts_and_end_with_the_output(model: DeviceModel) -> None:
    assert len(model.frontiers) == len(model.manifest.layers)
    for cut in model.manifest.cuts[1:]:
        assert model.frontiers[cut.head_layers - 1] == cut.tensors
    assert model.frontiers[-1] == model.manifest.output_names
