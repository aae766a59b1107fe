"""The profile that a simulation builds on. It comes from a file, or this machine measures it once and keeps it."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from collab_sdk.errors import InvalidRequest
from collabd.catalog.package.package import Package
from collabd.config import DeviceConfig, state_dir
from collabd.engine import Engine, keys_of
from collabd.profiling import machine, stored
from collabd.profiling.profile import Profile
from collabd.profiling.timing import measure

# One core does the work. `--device-slowdown` also stands for how many cores the simulated device uses.
_THREADS = 1
_CACHE_BYTES = 1 << 28
_log = logging.getLogger(__name__)


def read_profile(path: Path, package: Package) -> Profile:
    """A profile of this package, or of another build of it, from a JSON file. Raises `InvalidRequest`, `OSError`."""
    try:
        profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} is not a profile: {error}") from error
    if {times.cut for times in profile.cuts} != {cut.name for cut in package.manifest.cuts}:
        raise InvalidRequest(f"{path} is not a profile of {package.manifest.name}, but of another network")
    return profile


def profile_here(package: Package) -> Profile:
    """The profile of this machine, on one thread. Raises `OSError` when it cannot be stored."""
    directory = state_dir(DeviceConfig(), "collabctl") / "profiles"
    known = stored.load(package.digest, machine.describe(), threads=_THREADS, directory=directory)
    if known is not None:
        return known
    _log.info("measuring %s on this machine", package.manifest.name)
    engine = Engine(threads=_THREADS, cache_bytes=_CACHE_BYTES)
    networks = package.networks()
    for precision, key in keys_of(package.digest, networks).items():
        engine.add(key, networks[precision])
    profile = measure(package, networks, engine)
    stored.save(profile, directory, threads=_THREADS)
    return profile
