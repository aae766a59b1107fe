"""The tiny model with a companion close by, and planners for them."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from collabd.catalog.package.package import Package
from collabd.clock import MONOTONIC, Clock
from collabd.codec import JPEG_CODECS
from collabd.config import (
    CloudSettings,
    DeviceConfig,
    FailoverSettings,
    LinkSettings,
)
from collabd.config import PlanningSettings as Settings
from collabd.config import PolicySettings as Configured
from collabd.device.companions.companion import Companion
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.placement_search import FindPlacement, placed
from collabd.device.decide.planner import Planner
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile
from collabd.sensing.link.estimate import Transfer
from tests.device_parts import NoExchange, planner_of

DEFAULTS = Settings()
PIXELS = CallImage(np.zeros((16, 16, 3), np.uint8), 256)
FILE = CallImage(b"x" * 900, 256)


# In milliseconds, on one core of a PC: the head and the tail of each cut, and how long a codec encodes and decodes.
_CUT_MS = {"image": (0.0, 0.032), "relu1": (0.024, 0.023), "pool1": (0.025, 0.020), "pool2": (0.031, 0.017)}
_CODEC_MS = {
    "u8": (0.004, 0.005),
    **dict.fromkeys(JPEG_CODECS, (0.054, 0.071)),
    "f32": (0.010, 0.009),
    "f16": (0.017, 0.012),
    "q8": (0.036, 0.023),
    "q4": (0.048, 0.028),
}


@pytest.fixture(scope="session")
def profile(tiny_package: Package) -> Profile:
    """Written down, not measured: what is planned must not depend on how busy this machine is."""
    codecs = {name: CodecTimes(name, *ms) for name, ms in _CODEC_MS.items()}
    cuts = tuple(
        CutTimes(cut.name, *_CUT_MS[cut.name], tuple(codecs[each.codec] for each in cut.codecs))
        for cut in tiny_package.manifest.cuts
    )
    machine = Machine(cpu="a PC", cores=2, onnxruntime="1.32.0", collabd="0.1.0")
    return Profile(tiny_package.digest, machine, 1, prep_ms=0.139, whole_ms=0.032, spread=1.2, cuts=cuts)


@pytest.fixture
def model(tiny_package: Package, profile: Profile) -> DeviceModel:
    return model_of(tiny_package, profile)


@pytest.fixture
def companion(tiny_package: Package, profile: Profile) -> Companion:
    """Up, close by, holding the package. Planning never calls it, so it needs no connection."""
    return companion_of(tiny_package, profile)


def model_of(package: Package, profile: Profile) -> DeviceModel:
    model = DeviceModel(package, package.networks())
    model.take_profile(profile)
    return model


def companion_of(package: Package, profile: Profile, price_per_second: float = 0.0) -> Companion:
    companion = Companion(
        CloudSettings(name="pc", url="http://127.0.0.1:1", price_per_second=price_per_second),
        LinkSettings(),
        FailoverSettings(),
        exchange=NoExchange(),
    )
    companion.reached = True
    companion.profiles[package.digest] = profile
    link_is(companion, 100)
    return companion


def link_is(companion: Companion, mbps: float) -> None:
    """Have the companion's link learned as one of this rate and 0.5 ms there and back."""
    companion.link.learn_rtt(0.0005)
    for size in (500, 17_000) * 12:
        seconds = 0.00025 + size * 8e-6 / mbps
        companion.link.learn(Transfer(up_bytes=size, up_s=seconds, down_bytes=size, down_s=seconds), time.monotonic())


def planner(
    *companions: Companion,
    slowdown: float = 1.0,
    planning: Settings = DEFAULTS,
    policies: tuple[Configured, ...] = (),
    find_placement: FindPlacement = placed,
    clock: Clock = MONOTONIC,
) -> Planner:
    config = DeviceConfig(planning=planning, policies=policies)
    return planner_of(config, companions, slowdown=slowdown, find_placement=find_placement, clock=clock)


def plan(planner: Planner, model: DeviceModel, image: CallImage = PIXELS, **parameters: str | int) -> CallPlan:
    return asyncio.run(planner.plan(model, image, CallOptions.from_parameters(parameters)))
