"""What the device sees of its models: profiles, and fidelity that its own pictures do not bear out."""

from __future__ import annotations

import pytest

from collabd.catalog.package.package import Package
from collabd.device.fidelity.ledger import Ledger
from collabd.device.fidelity.row import Row
from collabd.device.health.models import DriftSense, profiles_seen
from collabd.device.models.model import DeviceModel


@pytest.mark.parametrize(
    ("speed", "expected", "codes"),
    [(1.0, 1.0, 0), (2.0, 1.0, 0), (2.6, 1.0, 1), (5.0, 2.5, 0), (0.39, 1.0, 1), (0.5, 1.0, 0)],
)
def test_times_that_load_and_clock_do_not_explain_are_no_longer_true(
    model: DeviceModel, speed: float, expected: float, codes: int
) -> None:
    assert len(list(profiles_seen([model], speed=speed, expected=expected))) == codes


def test_a_model_without_a_profile_is_named(tiny_package: Package) -> None:
    model = DeviceModel(tiny_package, tiny_package.networks())
    (seen,) = profiles_seen([model], speed=9.0, expected=1.0)
    assert (seen.about, seen.what) == ("tiny", "tiny is not profiled, and runs on this device alone")


def lossy(package: Package) -> tuple[Row, float]:
    """The row of which the package promises most."""
    rows = [
        (figures.fidelity, Row.packed(cut, figures))
        for cut in package.manifest.cuts
        for figures in cut.codecs
        if figures.agreement is not None and figures.agreement.sure_images
    ]
    promised, row = max(rows)
    return row, promised


@pytest.mark.parametrize(
    ("agrees", "pictures", "drifts"),
    [(1.0, 200, False), (0.0, 200, True), (0.0, 5, False), (0.5, 200, True)],
)
def test_fidelity_drifts_where_this_devices_pictures_disagree(
    model: DeviceModel, tiny_package: Package, agrees: float, pictures: int, drifts: bool
) -> None:
    row, promised = lossy(tiny_package)
    ledger, caps = Ledger(None), {promised}
    sense = DriftSense(lambda: [model], ledger, lambda _: caps)
    assert list(sense()) == []
    for count in range(pictures):
        ledger.take_in(model.digest, model.manifest, {row: agrees}, decided=count % 9, caps=caps)
    seen = list(sense())
    assert [each.about for each in seen] == (["tiny"] if drifts else [])
    assert all(each.what.startswith("tiny: this device's pictures promise ") for each in seen)
    caps.clear()
    assert list(sense()) == []
