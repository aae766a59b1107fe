"""Profiles kept over restarts: one JSON file for each package, machine and number of threads."""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path

import msgspec

from collabd.atomic_file import UNFINISHED, replace_file
from collabd.profiling.profile import Machine, Profile

_log = logging.getLogger(__name__)
_ABANDONED_S = 3600.0
_KEPT = 200


def save(profile: Profile, directory: Path, *, threads: int) -> None:
    """Write `profile` to `directory` in place of the older one, whole or not at all. Raises `OSError`.

    `threads`: how many were configured; 0: those of the profile were found to be the fastest.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / _file_name(profile.digest, profile.machine, threads)
    replace_file(target, msgspec.json.format(msgspec.json.encode(profile)))
    _prune(directory)


def load(digest: str, machine: Machine, *, threads: int, directory: Path) -> Profile | None:
    """The stored profile of this package on this machine; None if there is none that can be read.

    `threads`: as for `save`.
    """
    path = directory / _file_name(digest, machine, threads)
    try:
        profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("cannot use the profile %s, so it will be measured again: %s", path, error)
        return None
    if (profile.digest, profile.machine, profile.threads) != (digest, machine, threads or profile.threads):
        _log.warning("the profile %s is of another machine, so it will be measured again", path)
        return None
    return profile


def _prune(directory: Path) -> None:
    """Keep the newest profiles, since packages and the versions of what runs them come and go; nothing half written."""
    files = sorted(directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    abandoned = [path for path in directory.glob(f"{UNFINISHED}*") if path.stat().st_mtime < time.time() - _ABANDONED_S]
    for path in (*files[:-_KEPT], *abandoned):
        path.unlink(missing_ok=True)


def _file_name(digest: str, machine: Machine, threads: int) -> str:
    key = msgspec.json.encode((digest, machine, threads))
    return hashlib.sha256(key).hexdigest()[:32] + ".json"
