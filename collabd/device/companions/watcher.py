"""Watches one companion: whether it is there, what it holds, and how fast the link is while no calls show that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from collab_sdk.vocabulary import BreakerState
from collabd.catalog.package.package import Package
from collabd.config import LinkSettings
from collabd.device.companions.companion import Companion
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.package_supply import PackageSupply
from collabd.device.companions.whereabouts import Whereabouts
from collabd.device.journal import companion_changed, companion_moved
from collabd.lifecycle import background, do_without
from collabd.sensing.link.probe import Probe, next_probe
from collabd.sensing.reading import Every

# The time between probes while calls are under way.
_BESIDE_S = 1.0
# The pause behind a probe.
_PAUSE_S = 0.05
# No timer is finer than this, so what is due so soon is due now.
_DUE_S = 1e-3
# The kernel knows the round trip, unless something on the way answers for the companion. Pings find that out.
_PING_S = 5.0
# Routers may forget the connections of a machine that slept for longer than this.
_ASLEEP_S = 1.0
# What happens when the companion is not where it is asked.
_GONE = {FailureReason.DEAD, FailureReason.UNREACHABLE, FailureReason.LATE}


def slept_s() -> float:
    """How long this machine has slept since it was started, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class Watcher:
    """The background task of one companion.

    `whereabouts`: where a companion that is lost may be; None: it is always where the configuration says. `slept_s`
    returns how long this machine has slept since it was started.
    """

    def __init__(
        self,
        companion: Companion,
        link: LinkSettings,
        packages: Callable[[], Iterable[Package]],
        *,
        whereabouts: Whereabouts | None = None,
        slept_s: Callable[[], float] = slept_s,
    ) -> None:
        self._companion = companion
        self._link = link
        self._supply = PackageSupply(companion, packages)
        self._whereabouts = whereabouts
        self._slept_s = slept_s
        self._slept_before_s = slept_s()
        self._was_up: bool | None = None
        self._pings = Every(_PING_S)
        self._beside = Every(_BESIDE_S)

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with background(f"sending packages to {self._companion.name}", self._supply.send, do_without):
                while True:
                    pause_s = None
                    try:
                        pause_s = await self._round()
                    except CompanionFailure as failure:
                        self._companion.note_failure(failure)
                    self._report_change()
                    await self._companion.attention.next_look(within_s=pause_s)
        finally:
            if self._whereabouts is not None:
                await self._whereabouts.rest()

    async def _round(self) -> float | None:
        """Do what is due, and return after how many seconds to look again at most. None: there is no hurry."""
        state = self._companion.breaker_state
        if state is BreakerState.OPEN:
            return None
        woke_up = self._woke_up()
        if woke_up:
            self._companion.exchange.leave()
        if woke_up or state is BreakerState.HALF_OPEN or not self._companion.reached:
            await self._reach(is_lost=state is BreakerState.HALF_OPEN)
        if state is BreakerState.HALF_OPEN:
            await self._meet_again()
        await self._supply.learn()
        probe = self._next_probe()
        if probe is None:
            return None
        # The exchange of a call shows how fast the link is; pings beside it only show that the companion is there.
        if self._companion.is_asked and not self._beside.due(self._companion.clock()):
            return _PAUSE_S
        due, now = probe.due_s <= _DUE_S, self._companion.clock()
        # One size alone cannot distinguish a long round trip from a slow link.
        if (due or self._companion.needs_pings) and self._pings.due(now):
            await self._companion.ping(0)
        if not due:
            return probe.due_s
        await self._companion.ping(probe.nbytes)
        return _PAUSE_S

    async def _reach(self, *, is_lost: bool) -> None:
        """Ping the companion; if it `is_lost` and does not answer, also where else it may be."""
        try:
            await self._companion.ping(0)
        except CompanionFailure as failure:
            if not is_lost or self._whereabouts is None or failure.reason not in _GONE:
                raise
            if not await self._whereabouts.look():
                raise
            self._companion.moved(self._whereabouts.found_at)
            companion_moved(self._companion.name, self._companion.url, found=self._companion.found_at is not None)
            await self._companion.ping(0)
        if self._whereabouts is not None:
            await self._whereabouts.rest()

    def _woke_up(self) -> bool:
        before, self._slept_before_s = self._slept_before_s, self._slept_s()
        return self._slept_before_s - before > _ASLEEP_S

    def _next_probe(self) -> Probe | None:
        now = self._companion.clock()
        if self._companion.wants_no_ping:
            # Probes take its time, too: 2,000 devices would send it some thousands a second.
            return None
        return next_probe(
            self._companion.link_now,
            most_bytes=self._link.probe_kb * 1000,
            stale_s=self._link.stale_s,
            share=self._link.probe_share,
            idle_s=now - self._companion.attention.paid_at,
        )

    async def _meet_again(self) -> None:
        """Close the breaker, but first ask which packages the companion holds: it may have restarted with others."""
        await self._supply.learn_anew()
        self._companion.breaker.probed(self._companion.clock())

    def _report_change(self) -> None:
        up = self._companion.is_up()
        if up != self._was_up:
            companion_changed(self._companion.name, up=up)
            self._companion.events += 1
            self._was_up = up
