"""How the layers of a model hang together: what somebody needs to draw its network."""

from __future__ import annotations

from collabd.device.models.model import DeviceModel

# Stands for the network's own inputs.
INPUT = -1


def layer_inputs(model: DeviceModel) -> list[list[int]]:
    """For each layer the numbers of the layers whose results it computes from."""
    made_by = dict.fromkeys(model.inputs, INPUT)
    found: list[list[int]] = []
    before = model.inputs
    for number, behind in enumerate(model.frontiers):
        made = [name for name in behind if name not in made_by]
        read = model.network.needed(frozenset(before), tuple(made or behind))
        found.append(sorted({made_by[name] for name in read}))
        made_by |= dict.fromkeys(made, number)
        before = behind
    return found
