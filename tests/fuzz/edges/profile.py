"""A profile from a file on disk, and the plans that are made of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from collabd.config import CloudSettings, DeviceConfig, FailoverSettings, LinkSettings
from collabd.device.companions.companion import Companion
from collabd.device.decide.planner import Planner
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.profiling import stored
from collabd.profiling.profile import Profile
from tests.device_parts import NoExchange, planner_of
from tests.fuzz import tiny
from tests.fuzz.scratch import new_directory

WORDS = ("digest", "machine", "threads", "prep_ms", "whole_ms", "spread", "cuts", "cut", "head_ms", "tail_ms", "codecs")


def check(data: bytes) -> None:
    """No profile, or one that any call can be planned with."""
    file = _file()
    file.write_bytes(data)
    profile = stored.load(tiny.package().digest, tiny.MACHINE, threads=1, directory=file.parent)
    if profile is not None and profile.is_complete(tiny.MANIFEST):
        assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile
        plannable(profile, profile)


@cache
def _file() -> Path:
    """Where the profile of the tiny package is kept."""
    directory = new_directory("profiles")
    stored.save(tiny.profile(), directory, threads=tiny.profile().threads)
    return next(directory.iterdir())


@cache
def _planner() -> tuple[Planner, Companion, DeviceModel]:
    cloud = CloudSettings(name="pc", url="http://127.0.0.1:1")
    companion = Companion(cloud, LinkSettings(), FailoverSettings(), exchange=NoExchange())
    companion.reached = True
    model = DeviceModel(tiny.package(), tiny.package().networks())
    return planner_of(DeviceConfig(), [companion]), companion, model


def plannable(here: Profile, there: Profile) -> None:
    """Raises unless a call can be planned with these profiles of the device and of a companion."""
    planner, companion, model = _planner()
    model.profile, model.whole_s, companion.profiles[model.digest] = here, here.whole_ms / 1e3, there
    evaluation = planner.evaluate(
        model, CallImage(b"x" * 900, 256), CallOptions.from_parameters({"budget": "80ms,150mJ"})
    )
    assert not np.isnan(evaluation.prediction.latency_s).any()
    planner.decide(evaluation)


def seeds() -> list[bytes]:
    """A sound one."""
    return [msgspec.json.encode(tiny.profile())]
