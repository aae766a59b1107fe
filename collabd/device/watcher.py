"""Keeps each companion known: whether it is there, what it holds and how fast it is; probes the link when idle."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable

import msgspec

from collabd.catalog import bundle
from collabd.catalog.package import Package
from collabd.config import Link
from collabd.device.breaker import BreakerState
from collabd.device.companion import HEADER_BYTES, Companion, CompanionFailure, FailureReason
from collabd.profiling.profile import Profile
from collabd.sensing.link import next_probe_s

log = logging.getLogger(__name__)

_ROUND_S = 0.5
_ANSWER_S = 10.0
_UPLOAD_S = 600.0


class Watcher:
    """The background task of one companion."""

    def __init__(self, companion: Companion, link: Link, packages: Callable[[], Iterable[Package]]) -> None:
        self._companion = companion
        self._link = link
        self._packages = packages
        self._was_up: bool | None = None
        self._refused: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._round()
            except CompanionFailure as failure:
                self._companion.note_failure(failure)
            self._report_change()
            await asyncio.sleep(_ROUND_S)

    async def _round(self) -> None:
        state = self._companion.breaker.state(time.monotonic())
        if state is BreakerState.OPEN:
            return
        if state is BreakerState.HALF_OPEN or not self._companion.reached:
            await self._ping(0)
        await self._learn_packages()
        reading = self._companion.link.read(time.monotonic())
        size = self._link.probe_kb * 1000
        if next_probe_s(reading, probe_bytes=size, stale_s=self._link.stale_s, share=self._link.probe_share) == 0:
            # Two sizes, since one alone cannot tell a far companion from a slow link.
            await self._ping(0)
            await self._ping(size)

    async def _ping(self, size: int) -> None:
        """Send `size` bytes for nothing: proves that the companion is there and times the link."""
        start = time.perf_counter()
        status, _, body = await self._companion.call("POST", "/collab/v1/ping", data=bytes(size), timeout_s=_ANSWER_S)
        seconds = time.perf_counter() - start
        if status != 200:
            raise CompanionFailure(FailureReason.NONSENSE, f"{self._companion.name} answered a ping with {status}")
        moved = size + len(body) + HEADER_BYTES
        if self._companion.reached:  # the very first exchange also set up the connection
            self._companion.link.learn(moved_bytes=moved, seconds=seconds, now=time.monotonic())
        self._companion.reached = True
        self._companion.breaker.succeeded()

    async def _learn_packages(self) -> None:
        """Fetch the profile of every package of ours; give the companion those that it lacks."""
        for package in self._packages():
            if package.digest in self._companion.profiles or package.digest in self._refused:
                continue
            status, _, body = await self._companion.call(
                "GET", f"/collab/v1/profile/{package.digest}", timeout_s=_ANSWER_S
            )
            if status == 200:
                self._companion.profiles[package.digest] = _profile(body, self._companion.name)
            elif status == 404:
                await self._push(package)

    async def _push(self, package: Package) -> None:
        name = package.manifest.name
        if not self._companion.cloud.push_packages:
            self._refused.add(package.digest)
            log.warning("%s does not hold %s and may not be sent it", self._companion.name, name)
            return
        data = await asyncio.to_thread(bundle.pack, package)
        status, _, body = await self._companion.call(
            "PUT", f"/collab/v1/packages/{package.digest}", data=data, timeout_s=_UPLOAD_S
        )
        if status >= 300:
            self._refused.add(package.digest)
            log.warning("%s refused the package %s: %s", self._companion.name, name, _message(body))
        else:
            log.info("sent %s to %s, %.1f MB", name, self._companion.name, len(data) / 1e6)

    def _report_change(self) -> None:
        up = self._companion.is_up()
        if up != self._was_up:
            log.info("companion %s is %s", self._companion.name, "up" if up else "down")
            self._was_up = up


def _profile(body: bytes, name: str) -> Profile:
    try:
        return msgspec.json.decode(body, type=Profile)
    except msgspec.DecodeError as error:
        raise CompanionFailure(FailureReason.NONSENSE, f"{name} sent no profile: {error}") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
