"""What may leave the device: the strictest of the configuration, the model's policy and the call."""

from __future__ import annotations

import pytest

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import Fallback
from collabd.catalog.package.package import Package
from collabd.config import DeviceConfig, PlanningSettings, PolicySettings
from collabd.device.decide.policy import CallPolicy, Policies
from collabd.device.job.options import CallOptions
from collabd.planning.placements.trellis import Pins


def policy(package: Package, config: DeviceConfig, **parameters: object) -> CallPolicy:
    return Policies(config).of(package.manifest, CallOptions.from_parameters(parameters))


def test_nothing_is_pinned_unless_somebody_says_so(tiny_package: Package) -> None:
    assert policy(tiny_package, DeviceConfig()) == CallPolicy(0, 0, Fallback.LOCAL)


def test_of_all_pins_the_largest_count(tiny_package: Package) -> None:
    config = DeviceConfig(
        planning=PlanningSettings(pin_first=1, pin_last=2),
        policies=(PolicySettings(model="tiny", pin_first=3), PolicySettings(model="other", pin_first=9, pin_last=9)),
    )
    assert policy(tiny_package, config) == CallPolicy(3, 2, Fallback.LOCAL)
    assert policy(tiny_package, config, pin_first=2, pin_last=4) == CallPolicy(3, 4, Fallback.LOCAL)


@pytest.mark.parametrize(
    ("configured", "called", "holds"),
    [
        (Fallback.LOCAL, None, Fallback.LOCAL),
        (Fallback.FAIL, None, Fallback.FAIL),
        (Fallback.FAIL, "local", Fallback.LOCAL),
        (Fallback.LOCAL, "never-leave", Fallback.NEVER_LEAVE),
        (Fallback.NEVER_LEAVE, None, Fallback.NEVER_LEAVE),
        (Fallback.NEVER_LEAVE, "local", Fallback.NEVER_LEAVE),
    ],
)
def test_a_call_chooses_its_fallback_but_never_lifts_never_leave(
    tiny_package: Package, configured: Fallback, called: str | None, holds: Fallback
) -> None:
    config = DeviceConfig(policies=(PolicySettings(model="tiny", fallback=configured),))
    parameters = {} if called is None else {"fallback": called}
    assert policy(tiny_package, config, **parameters).fallback is holds


@pytest.mark.parametrize(
    ("pinned", "pins"),
    [
        (CallPolicy(0, 0, Fallback.LOCAL), Pins(0, 0)),
        (CallPolicy(1, 1, Fallback.LOCAL), Pins(1, 1)),
        (CallPolicy(2, 1, Fallback.LOCAL), Pins(1, 1)),
        (CallPolicy(3, 3, Fallback.LOCAL), Pins(2, 1)),
        (CallPolicy(0, 4, Fallback.LOCAL), Pins(0, 2)),
        (CallPolicy(99, 0, Fallback.FAIL), Pins(3, 0)),
        (CallPolicy(0, 99, Fallback.LOCAL), Pins(0, 3)),
        (CallPolicy(0, 0, Fallback.NEVER_LEAVE), Pins(0, 0, never_leave=True)),
    ],
)
def test_a_segment_stays_as_soon_as_one_of_its_layers_has_to(pinned: CallPolicy, pins: Pins) -> None:
    """Eight layers in segments of two, three and three."""
    assert pinned.pins((0, 2, 5), 8) == pins


@pytest.mark.parametrize(
    ("pinned", "placement", "says"),
    [
        (CallPolicy(1, 0, Fallback.LOCAL), "CDD", "first 1 layers are pinned"),
        (CallPolicy(0, 2, Fallback.LOCAL), "DCD", "last 2 layers are pinned"),
        (CallPolicy(0, 9, Fallback.LOCAL), "CDD", "last 9 layers are pinned"),
        (CallPolicy(0, 0, Fallback.NEVER_LEAVE), "DCD", "never-leave"),
    ],
)
def test_a_placement_that_breaks_the_policy(pinned: CallPolicy, placement: str, says: str) -> None:
    with pytest.raises(InvalidPlacement, match=says):
        pinned.check(placement)
    pinned.check("DDD")


def test_a_placement_that_keeps_it() -> None:
    CallPolicy(1, 1, Fallback.FAIL).check("DCD")
    CallPolicy(0, 0, Fallback.LOCAL).check("CCC")
