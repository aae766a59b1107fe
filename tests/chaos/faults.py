"""Injects the faults. Each fault is a context: the fault begins on entry and is gone after exit."""

from __future__ import annotations

import asyncio
import errno
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests

from collab_sdk import AsyncClient, CollabError
from collabd.simulation.relay import Relay
from tests.chaos import mitm
from tests.chaos.bed import ChaosBed
from tests.chaos.mitm import Liar
from tests.chaos.schedule import HOLDERS, Fault

RATE = 50e6 / 8
_SLOW = 10e3 / 8
_RESETS_S = 0.3
_REPLACED_S = 0.5
_START_S = 120.0
_POLL_S = 0.05
_HOURS = (5, -5, 72, -72)
_BALLAST = "ballast"
# The network whose profile the companion loses.
_FORGOTTEN = "alexnet_cifar10"


@dataclass(frozen=True)
class Window:
    """The time of a fault: seconds on the monotonic clock."""

    kind: str
    began_s: float
    ended_s: float


@dataclass
class Faults:
    """All that can be broken.

    `visitor`: a package that the device is asked to install while its disk is full. `twins`: two packages of one name
    and one network, which replace one another; the first is there when there is peace.
    """

    bed: ChaosBed
    relay: Relay
    liar: Liar
    client: AsyncClient
    digests: Mapping[str, str]
    visitor: Path
    twins: tuple[Path, Path]
    windows: list[Window] = field(default_factory=list)
    # The times when collabd did not run.
    down: list[Window] = field(default_factory=list)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def conduct(
        self, faults: Iterator[Fault], least: int, done: asyncio.Event, say: Callable[[str], None]
    ) -> None:
        """Inject faults at their times until `done`, but at least this many, and return when the last one is gone."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as under_way:
            for number, fault in enumerate(faults):
                wait_s = max(began + fault.at_s - time.monotonic(), 0.0)
                if number < least:
                    await asyncio.sleep(wait_s)
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), wait_s)
                    if done.is_set():
                        break
                say(f"{time.monotonic() - began:6.1f} s  {fault.kind}")
                under_way.create_task(self._inject(fault))

    async def _inject(self, fault: Fault) -> None:
        async with self._hold(HOLDERS[fault.kind]):
            began = time.monotonic()
            async with _HOW[fault.kind](self, fault.draw):
                await asyncio.sleep(fault.lasts_s)
            self.windows.append(Window(fault.kind, began, time.monotonic()))

    def _hold(self, holder: str) -> asyncio.Lock:
        return self._locks.setdefault(holder, asyncio.Lock())

    @asynccontextmanager
    async def companion_gone(self, _: float, *, killed: bool) -> AsyncIterator[None]:
        """The companion is killed or stops on request, and is started again."""
        await asyncio.to_thread(self.bed.kill_cloud if killed else self.bed.stop_cloud)
        try:
            yield
        finally:
            self.bed.start_cloud()
            await asyncio.to_thread(_until_answers, self.bed.cloud_port)

    @asynccontextmanager
    async def companion_frozen(self, _: float) -> AsyncIterator[None]:
        """The process is frozen, but the kernel still accepts connections for it."""
        self.bed.signal("cloud", signal.SIGSTOP)
        try:
            yield
        finally:
            self.bed.signal("cloud", signal.SIGCONT)

    @asynccontextmanager
    async def device_gone(self, _: float, *, killed: bool) -> AsyncIterator[None]:
        """The daemon stops and is started again at once, as by systemd; its socket stays."""
        began = time.monotonic()
        await asyncio.to_thread(self.bed.kill_device if killed else self.bed.stop_device)
        self.bed.start_device()
        await self.client.wait(_START_S)
        self.down.append(Window("collabd down", began, time.monotonic()))
        yield

    @asynccontextmanager
    async def black_hole(self, _: float) -> AsyncIterator[None]:
        """The link passes no data, and neither side gets an error."""
        self.relay.black_hole()
        try:
            yield
        finally:
            self.relay.heal()

    @asynccontextmanager
    async def resets(self, _: float) -> AsyncIterator[None]:
        """Every connection breaks, again and again."""

        async def again() -> None:
            while True:
                self.relay.reset()
                await asyncio.sleep(_RESETS_S)

        task = asyncio.create_task(again())
        try:
            yield
        finally:
            task.cancel()

    @asynccontextmanager
    async def silent_connections(self, _: float) -> AsyncIterator[None]:
        """The open connections are lost silently; the peers notice only when they use them."""
        self.relay.silence()
        yield

    @asynccontextmanager
    async def slow(self, _: float) -> AsyncIterator[None]:
        """10 kbit/s, both ways."""
        self.relay.set_rate(_SLOW)
        try:
            yield
        finally:
            self.relay.set_rate(RATE)

    @asynccontextmanager
    async def flips(self, draw: float) -> AsyncIterator[None]:
        """From one packet in fifty to one in two, headers and bodies."""
        self.relay.flip(0.02 + 0.48 * draw**2)
        try:
            yield
        finally:
            self.relay.flip(0.0)
            # The two ends of a connection may now disagree about its bytes; the next fault must not inherit that.
            self.relay.reset()

    @asynccontextmanager
    async def truncations(self, draw: float) -> AsyncIterator[None]:
        """Within the headers, or within the body."""
        self.relay.truncate(1 + int(700 * draw))
        try:
            yield
        finally:
            self.relay.truncate(None)

    @asynccontextmanager
    async def lies(
        self, _: float, *, requests: mitm.Lie | None = None, replies: mitm.Lie | None = None
    ) -> AsyncIterator[None]:
        """Every exchange goes through the liar."""
        self.liar.lie(
            **({} if requests is None else {"about_requests": requests}),
            **({} if replies is None else {"about_replies": replies}),
        )
        self._lead_to(self.liar.address)
        try:
            yield
        finally:
            self._lead_to(("127.0.0.1", self.bed.cloud_port))
            self.liar.lie()

    @asynccontextmanager
    async def other_digest(self, draw: float) -> AsyncIterator[None]:
        """Each network's requests are answered by another one."""
        async with self.lies(draw, requests=mitm.other_package(self.digests)):
            yield

    @asynccontextmanager
    async def model_replaced(self, _: float) -> AsyncIterator[None]:
        """The device gets another package of one name, time and again."""

        async def again() -> None:
            while True:
                for package in reversed(self.twins):
                    with suppress(CollabError):
                        await self.client.load_model(package)
                    await asyncio.sleep(_REPLACED_S)

        task = asyncio.create_task(again())
        try:
            yield
        finally:
            task.cancel()
            # The last word, where the device runs and its disk has room.
            async with self._hold("device"), self._hold("disks"):
                await self.client.load_model(self.twins[0])

    @asynccontextmanager
    async def companion_rekeyed(self, _: float) -> AsyncIterator[None]:
        """The companion refuses the token that the device has, until the device gets the new one."""
        async with self._hold("companion"):
            self.bed.rekey_cloud()
        try:
            yield
        finally:
            async with self._hold("device"):
                self.bed.rekey_device()

    @asynccontextmanager
    async def full_disks(self, _: float) -> AsyncIterator[None]:
        """No byte more; the companion loses a profile and cannot store it anew, the device can install nothing."""
        for disk in self.bed.disks:
            _fill(disk / _BALLAST)
        for profile in (self.bed.disks[0] / "profiles").glob("*.json"):
            if self.digests[_FORGOTTEN] in profile.read_text():
                profile.unlink()
        try:
            with suppress(CollabError):
                await self.client.load_model(self.visitor)
                await self.client.unload_model(self.visitor.name)
            yield
        finally:
            for disk in self.bed.disks:
                (disk / _BALLAST).unlink()

    @asynccontextmanager
    async def stepped_clocks(self, draw: float) -> AsyncIterator[None]:
        """The clocks step by hours or days, forward or back, and later step back to the right time."""
        self.bed.set_clocks(3600 * _HOURS[int(draw * len(_HOURS))])
        try:
            yield
        finally:
            self.bed.set_clocks(0)

    def _lead_to(self, address: tuple[str, int]) -> None:
        self.relay.redirect(address)
        self.relay.reset()


_HOW: Mapping[str, Callable[[Faults, float], AbstractAsyncContextManager[None]]] = {
    "companion killed": partial(Faults.companion_gone, killed=True),
    "companion stopped by SIGTERM": partial(Faults.companion_gone, killed=False),
    "companion frozen (SIGSTOP)": Faults.companion_frozen,
    "collabd killed": partial(Faults.device_gone, killed=True),
    "collabd stopped by SIGTERM": partial(Faults.device_gone, killed=False),
    "link black-holed": Faults.black_hole,
    "link reset": Faults.resets,
    "link at 10 kbit/s": Faults.slow,
    "connections gone silent": Faults.silent_connections,
    "bytes flipped": Faults.flips,
    "replies truncated": Faults.truncations,
    "replies of another digest": Faults.other_digest,
    "features of NaN": partial(Faults.lies, requests=mitm.nan_features),
    "answers of NaN": partial(Faults.lies, replies=mitm.nan_answers),
    "model replaced": Faults.model_replaced,
    "companion re-keyed": Faults.companion_rekeyed,
    "disks full": Faults.full_disks,
    "clocks stepped": Faults.stepped_clocks,
}


def _fill(path: Path) -> None:
    """To the last byte."""
    with path.open("ab", buffering=0) as file:
        for block in (2**16, 1):
            try:
                while file.write(bytes(block)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _until_answers(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if requests.get(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).ok:
                return
        time.sleep(_POLL_S)
    raise TimeoutError(f"the companion does not answer {_START_S:g} s after its start")
