"""Fetches the profiles of the packages that a companion holds, and sends it the packages that it lacks."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from collab_sdk import wire
from collabd.catalog.package.package import Package
from collabd.catalog.store import bundle
from collabd.device.companions.companion import Companion, Lack
from collabd.device.companions.exchange import CompanionReply
from collabd.device.companions.failures import CompanionFailure, FailureReason, refusal
from collabd.profiling.profile import Profile

log = logging.getLogger(__name__)

_ROUND_S = 0.5
_ANSWER_S = 10.0
_UPLOAD_S = 600.0
_PROFILE_BYTES = 2**20
# The companion's disk is full, and somebody has to make room. An attempt sends megabytes, so attempts are 300 s apart.
_FULL_S = 300.0
# Somebody has to repair the device or the companion. An attempt costs little, so attempts are 30 s apart.
_FAULTY_S = 30.0
# A companion that took a package and soon lacks it again gets it anew after so long, and each time after twice as long,
# unless it has kept it for an hour. Behind a balancer there may be several that do not share their packages.
_AGAIN_S, _AGAIN_MOST_S, _KEPT_S = 10.0, 600.0, 3600.0
_MEASURING = Lack("is still measuring the package")
_SENDING = Lack("lacks the package, which the device is sending")
# Of a smaller package nobody wants to know how far it is.
_TELLS_BYTES = 1_000_000


_LOST = (
    "lacks the package, which it took not long ago; companions behind one address need a store that they share "
    "([models] shared)"
)


@dataclass(frozen=True)
class _Delivery:
    """When a companion took a package, and for how long it does not get it again. In seconds, by the device's clock."""

    at: float
    pause_s: float

    @classmethod
    def now(cls, now: float, before: _Delivery | None) -> _Delivery:
        if before is None or now - before.at > _KEPT_S:
            return cls(now, _AGAIN_S)
        return cls(now, min(2 * before.pause_s, _AGAIN_MOST_S))


class PackageSupply:
    """Keeps the `profiles` and the `lacks` of one companion up to date, for the `packages` of this device."""

    def __init__(self, companion: Companion, packages: Callable[[], Iterable[Package]]) -> None:
        self._companion = companion
        self._packages = packages
        # By digest.
        self._to_send: dict[str, Package] = {}
        # By digest: when a package was last taken, and when it may be sent again at the earliest.
        self._taken: dict[str, _Delivery] = {}
        self._wanted = asyncio.Event()

    async def learn(self) -> None:
        """Ask for the profile of each package that the companion is not known to hold. Raises `CompanionFailure`."""
        companion, packages = self._companion, list(self._packages())
        _keep(companion.profiles, packages)
        _keep(companion.lacks, packages)
        _keep(self._taken, packages)
        for package in packages:
            lack = companion.lacks.get(package.digest)
            known = package.digest in companion.profiles or package.digest in self._to_send
            if known or (lack is not None and self._companion.clock() < lack.until):
                continue
            with self._concerning(package):
                if await self._learn(package) == web.HTTPNotFound.status_code:
                    self._want_sent(package)

    async def learn_anew(self) -> None:
        """Ask again for the profiles that the companion had, since it may have restarted. Raises `CompanionFailure`."""
        for package in self._packages():
            if package.digest in self._companion.profiles:
                await self._learn(package)
        self._companion.lacks.clear()

    async def send(self) -> None:
        """Send the companion the packages that it lacks, until cancelled. One package may take minutes."""
        while True:
            if not self._to_send:
                self._wanted.clear()
                await self._wanted.wait()
            for digest, package in list(self._to_send.items()):
                if not self._companion.is_up():
                    break
                try:
                    with self._concerning(package):
                        await self._push(package)
                except CompanionFailure as failure:
                    self._companion.note_failure(failure)
                finally:
                    del self._to_send[digest]
            await asyncio.sleep(_ROUND_S)

    @contextmanager
    def _concerning(self, package: Package) -> Iterator[None]:
        """Note an error of `package` alone as a lack, so that the other packages still reach the companion."""
        try:
            yield
        except CompanionFailure as failure:
            if failure.reason is not FailureReason.NONSENSE:
                raise
            self._note_lack(package, f"cannot serve the package: {failure}", _FAULTY_S)
        except OSError as error:
            self._note_lack(package, f"lacks the package, and the device cannot send it: {error}", _FAULTY_S)
        except Exception as error:
            log.exception("sending %s to %s failed", package.manifest.name, self._companion.name)
            self._note_lack(package, f"lacks the package, and the device cannot send it: {error!r}", _FAULTY_S)

    async def _learn(self, package: Package) -> int:
        """Ask for the profile of `package`; return the status of the reply.

        The old profile is forgotten if the companion no longer has one, or is measuring the package again.
        """
        companion, digest = self._companion, package.digest
        path = f"/collab/v1/profile/{digest}"
        reply = await companion.exchange.call("GET", path, timeout_s=_ANSWER_S, most_bytes=_PROFILE_BYTES)
        before = companion.profiles.pop(digest, None)
        match reply.status:
            case web.HTTPOk.status_code:
                profile = _profile(reply.body, package, companion.name)
                # Keep the same object, since plans are made anew for a new one.
                companion.profiles[digest] = before if before == profile else profile
                companion.lacks.pop(digest, None)
            case web.HTTPAccepted.status_code:
                companion.lacks[digest] = _MEASURING
            case web.HTTPNotFound.status_code:
                pass
            case _:
                self._refused(package, reply, _FAULTY_S)
        return reply.status

    def _want_sent(self, package: Package) -> None:
        taken = self._taken.get(package.digest)
        again_s = 0.0 if taken is None else taken.at + taken.pause_s - self._companion.clock()
        if again_s > 0:
            self._note_lack(package, _LOST, again_s)
        elif self._companion.cloud.push_packages:
            self._companion.lacks.setdefault(package.digest, _SENDING)
            self._to_send[package.digest] = package
            self._wanted.set()
        else:
            self._note_lack(package, "lacks the package, and push_packages = false forbids to send it", math.inf)

    async def _push(self, package: Package) -> None:
        data = await asyncio.to_thread(bundle.pack, package)

        def sent(count: int) -> None:
            """Say how far it is. The companion tries the package out after the last byte."""
            told = f"{_SENDING.why} ({count / 1e6:.1f} of {len(data) / 1e6:.1f} MB)"
            self._companion.lacks[package.digest] = Lack(told)

        reply = await self._companion.exchange.call(
            "PUT",
            f"/collab/v1/packages/{package.digest}",
            data=[data],
            timeout_s=_UPLOAD_S,
            sent=sent if len(data) >= _TELLS_BYTES else None,
        )
        if reply.status >= 300:
            self._refused(package, reply, math.inf)
        else:
            self._taken[package.digest] = _Delivery.now(self._companion.clock(), self._taken.get(package.digest))
            log.info("sent %s to %s, %.1f MB", package.manifest.name, self._companion.name, len(data) / 1e6)

    def _refused(self, package: Package, reply: CompanionReply, for_s: float) -> None:
        """Note why the companion does not serve `package`. Raises `CompanionFailure` if it would serve no package."""
        failure = refusal(reply.status, reply.body, reply.headers)
        match reply.status:
            case web.HTTPUnauthorized.status_code:
                raise failure
            case web.HTTPServiceUnavailable.status_code:
                # It is too busy for packages. Calls find out by themselves whether it is too busy for them.
                self._note_lack(package, f"is too busy for the package: {_said(reply)}", failure.retry_after_s)
            case web.HTTPInsufficientStorage.status_code:
                self._note_lack(package, f"refused the package: {_said(reply)}", _FULL_S)
            case _:
                self._note_lack(package, f"refused the package: {_said(reply)}", for_s)

    def _note_lack(self, package: Package, why: str, for_s: float) -> None:
        lacks = self._companion.lacks
        before = lacks.get(package.digest)
        if before is None or before.why != why:
            # If this lasts, a health condition warns of it.
            log.info("%s: %s %s", package.manifest.name, self._companion.name, why)
        lacks[package.digest] = Lack(why, self._companion.clock() + for_s)


def _profile(body: bytes, package: Package, name: str) -> Profile:
    """Read the profile in a reply. Raises `CompanionFailure` unless it is a complete profile of `package`."""
    try:
        profile = msgspec.json.decode(body, type=Profile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CompanionFailure(FailureReason.NONSENSE, f"{name} sent no profile: {error}") from error
    if profile.digest != package.digest or not profile.is_complete(package.manifest):
        raise CompanionFailure(FailureReason.NONSENSE, f"{name} sent the profile of another package")
    return profile


def _said(reply: CompanionReply) -> str:
    return str(wire.decode_error(reply.status, reply.body))


def _keep(known: dict[str, Any], packages: Iterable[Package]) -> None:
    """Forget the packages that this device no longer has."""
    for digest in known.keys() - {package.digest for package in packages}:
        del known[digest]
