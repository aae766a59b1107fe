"""Which profiles a device accepts from a companion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from collabd.catalog.package.package import Package
from collabd.device.companions.failures import CompanionFailure
from collabd.device.companions.package_supply import _Delivery, _profile

Change = Callable[[dict[str, Any]], None]


def profile(package: Package) -> dict[str, Any]:
    cuts = [
        {
            "cut": cut.name,
            "head_ms": 1.0,
            "tail_ms": 2.0,
            "codecs": [{"codec": each.codec, "encode_ms": 0.1, "decode_ms": 0.1} for each in cut.codecs],
        }
        for cut in package.manifest.cuts
    ]
    machine = {"cpu": "a", "cores": 1, "onnxruntime": "1", "collabd": "1"}
    times = {"threads": 1, "prep_ms": 0.1, "whole_ms": 3.0, "spread": 1.1}
    return {"digest": package.digest, "machine": machine, "cuts": cuts} | times


def set_to(path: str, value: object) -> Change:
    def change(made: dict[str, Any]) -> None:
        *way, last = path.split(".")
        at: Any = made
        for step in way:
            at = at[int(step) if step.isdigit() else step]
        at[last] = value

    return change


def test_a_whole_profile_is_believed(tiny_package: Package) -> None:
    assert _profile(msgspec.json.encode(profile(tiny_package)), tiny_package, "pc").whole_ms == 3.0


@pytest.mark.parametrize(
    "change",
    [
        set_to("digest", "sha256:" + "0" * 64),
        set_to("whole_ms", -1.0),
        set_to("whole_ms", 1e300),
        set_to("prep_ms", "soon"),
        set_to("spread", 0.0),
        set_to("cuts.0.tail_ms", -0.1),
        set_to("cuts.0.cut", "elsewhere"),
        set_to("cuts.1.codecs", []),
        set_to("cuts.1.codecs.0.codec", "q16"),
        lambda made: made["cuts"].pop(),
        lambda made: made.pop("cuts"),
    ],
)
def test_what_cannot_be_is_not(tiny_package: Package, change: Change) -> None:
    made = profile(tiny_package)
    change(made)
    with pytest.raises(CompanionFailure):
        _profile(msgspec.json.encode(made), tiny_package, "pc")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"whole_ms": NaN}', b"\xff"])
def test_what_is_no_profile(tiny_package: Package, body: bytes) -> None:
    with pytest.raises(CompanionFailure):
        _profile(body, tiny_package, "pc")


def test_what_a_companion_loses_again_and_again_is_sent_ever_more_rarely() -> None:
    taken, pauses = None, []
    for now in (0.0, 20.0, 60.0, 200.0, 300.0, 500.0, 900.0, 1600.0, 2400.0, 9000.0):
        taken = _Delivery.now(now, taken)
        pauses.append(taken.pause_s)
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0, 600.0, 10.0]
