"""The plans of a model as calls want them: how faithful, and whether in a precision that they state."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from collabd.device.decide.littles import plans_with_little
from collabd.device.decide.local_tails import plans_finished_here
from collabd.device.fidelity.figures import Fidelities
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidates

# Calls of so many kinds have their plans in memory. Applications make one or two.
_KINDS = 8


class PlansFor(Protocol):
    """Returns the plans for calls that want at least this fidelity.

    `raw`: they want the outputs of the network itself, so no little network is asked. `any_precision`: the device may
    finish them in whichever precision is faithful enough.
    """

    def __call__(self, least: float, *, raw: bool = False, any_precision: bool = True) -> Candidates: ...  # noqa: D102


def plans_for_calls(
    model: DeviceModel, little: DeviceModel | None, plans: Candidates, *, believed: Fidelities
) -> PlansFor:
    """Makes them of all `plans` of the model. `little` None: no little network may answer."""
    finished = plans_finished_here(model, fidelity_of=believed.of)
    with_little = plans_with_little(model, little, believed=believed)

    @lru_cache(_KINDS)
    def plans_for(least: float, *, raw: bool = False, any_precision: bool = True) -> Candidates:
        made = plans if raw else with_little(plans, least)
        return finished(made, least) if any_precision else made

    return plans_for
