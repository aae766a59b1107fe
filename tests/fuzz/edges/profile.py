"""A profile from a file on disk, and the plans that are made of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from collabd.config import Cloud, DeviceConfig, Energy, Failover, Link
from collabd.device.companion import Companion
from collabd.device.model import Model
from collabd.device.options import Options
from collabd.device.photo import Photo
from collabd.device.planner import Planner
from collabd.device.senses import Senses
from collabd.profiling import stored
from collabd.profiling.profile import Profile
from tests.fuzz import tiny
from tests.fuzz.scratch import new_directory
from tests.machine import SHOWS_NOTHING

WORDS = ("digest", "machine", "threads", "prep_ms", "whole_ms", "spread", "cuts", "cut", "head_ms", "tail_ms", "codecs")


def check(data: bytes) -> None:
    """No profile, or one that any call can be planned with."""
    file = _file()
    file.write_bytes(data)
    profile = stored.load(tiny.package().digest, tiny.MACHINE, 1, file.parent)
    if profile is not None and profile.is_complete(tiny.MANIFEST):
        assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile
        plannable(profile, profile)


@cache
def _file() -> Path:
    """Where the profile of the tiny package is kept."""
    directory = new_directory("profiles")
    stored.save(tiny.profile(), directory)
    return next(directory.iterdir())


@cache
def _planner() -> tuple[Planner, Companion, Model]:
    connections = None
    companion = Companion(Cloud("pc", "http://127.0.0.1:1"), Link(), Failover(), connections)  # type: ignore[arg-type]
    companion.reached = True
    model = Model(tiny.package(), tiny.package().network(), 1.0)
    return Planner(DeviceConfig(), [companion], Senses(Energy(board="pi4"), SHOWS_NOTHING)), companion, model


def plannable(here: Profile, there: Profile) -> None:
    """Raises unless a call can be planned with these profiles of the device and of a companion."""
    planner, companion, model = _planner()
    model.profile, model.whole_s, companion.profiles[model.digest] = here, here.whole_ms / 1e3, there
    evaluation = planner.evaluate(model, Photo(b"x" * 900, 256), Options.from_parameters({"budget": "80ms,150mJ"}))
    assert not np.isnan(evaluation.prediction.latency_s).any()
    planner.decide(evaluation)


def seeds() -> list[bytes]:
    """A sound one."""
    return [msgspec.json.encode(tiny.profile())]
