"""Opens the doors that the configuration names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from msgspec import structs

from collab_sdk.errors import CollabError
from collab_sdk.reports import DoorReport
from collab_sdk.vocabulary import DoorKind, TaskKind
from collabd.clock import Clock
from collabd.config import DoorSettings
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.api.door import DeviceDoor
from collabd.device.call.dashboard_pictures import DashboardPictures
from collabd.device.doors import dashboard, deepstack, doods, oip
from collabd.device.doors.asker import Asker
from collabd.device.doors.http_door import http_door
from collabd.device.doors.keys import DoorKeys
from collabd.device.doors.traffic import Traffic
from collabd.device.models.loaded import LoadedModels
from collabd.health.conditions import Code, Sighting
from collabd.lifecycle import background, do_without

# Where the configuration states none. Frigate waits 200 ms, of which the way there and back takes some.
_USUAL_BUDGETS = {DoorKind.FRIGATE_ZMQ: "150ms"}

log = logging.getLogger(__name__)

# What the protocols ask of a model.
_ASKED_FOR = {DoorKind.DEEPSTACK: (TaskKind.DETECT, TaskKind.CLASSIFY), DoorKind.DOODS: (TaskKind.DETECT,)}


class Doors:
    """The doors that are open, and those that could not be opened, which are tried again every `retry_s` seconds."""

    def __init__(self, *, retry_s: float) -> None:
        self._retry_s = retry_s
        self._askers: list[Asker] = []
        # Of those that are not open: why.
        self._refused: dict[Asker, str] = {}

    def report(self) -> list[DoorReport]:
        """Each door that is open, and what has come through it."""
        return [asker.traffic.report() for asker in self._askers]

    def seen(self) -> Iterator[Sighting]:
        """The doors that are not open."""
        for asker, why in self._refused.items():
            kind, listen = asker.settings.kind, asker.settings.listen
            yield Sighting(
                code=Code.DOOR_REFUSED,
                about=f"{kind} at {listen}",
                what=f"the door {kind} at {listen} is not open: {why}",
            )

    def renew(self) -> None:
        """Read all key files again. Raises `KeyProblem`."""
        for asker in (*self._askers, *self._refused):
            asker.keys.renew()

    @asynccontextmanager
    async def opened(
        self,
        settings: Sequence[DoorSettings],
        *,
        admission: DeviceDoor,
        plane: DeviceDataPlane,
        max_request_bytes: int,
        metrics: Callable[[], bytes],
        clock: Clock,
        models: LoadedModels,
        shown: DashboardPictures | None,
        directory: Path,
    ) -> AsyncIterator[None]:
        """They are open inside this context, as far as they can be.

        `metrics`: what Prometheus reads. `shown`: what dashboards may show that show pictures. `directory` is for what
        the doors keep. Raises `KeyProblem`.
        """
        async with AsyncExitStack() as stack:

            async def try_to_open(asker: Asker) -> None:
                """An address may be taken, or not be there yet, and calls of others are not to wait for that."""
                try:
                    await stack.enter_async_context(
                        _door(asker, metrics=metrics, models=models, shown=shown, directory=directory)
                    )
                except OSError as error:
                    said = error.strerror or str(error)
                    self._refused[asker] = "; ".join([said, *getattr(error, "__notes__", ())])
                else:
                    self._refused.pop(asker, None)
                    self._askers.append(asker)
                    _tell_of(asker)

            for stated in settings:
                door = structs.replace(stated, budget=stated.budget or _USUAL_BUDGETS.get(stated.kind, ""))
                await try_to_open(
                    Asker(
                        settings=door,
                        keys=DoorKeys(door),
                        traffic=Traffic(door, clock),
                        admission=admission,
                        plane=plane,
                        max_request_bytes=max_request_bytes,
                        clock=clock,
                    )
                )
            async with background("opening doors", partial(self._try_again, try_to_open), do_without):
                yield

    async def _try_again(self, try_to_open: Callable[[Asker], Awaitable[None]]) -> None:
        while self._refused:
            await asyncio.sleep(self._retry_s)
            for asker in list(self._refused):
                await try_to_open(asker)


def _tell_of(asker: Asker) -> None:
    settings = asker.settings
    log.info("door %s at %s", settings.kind, asker.traffic.address)
    if (why := _no_model(asker)) is not None:
        log.warning("the door %s at %s refuses calls that name no model: %s", settings.kind, settings.listen, why)


def _no_model(asker: Asker) -> str | None:
    """What each call would be told that names no model; None: some are answered."""
    why = None
    for task in _ASKED_FOR.get(asker.settings.kind, ()):
        try:
            asker.model_of(task)
        except CollabError as error:
            why = why or str(error)
        else:
            return None
    return why


def _door(
    asker: Asker,
    *,
    metrics: Callable[[], bytes],
    models: LoadedModels,
    shown: DashboardPictures | None,
    directory: Path,
) -> AbstractAsyncContextManager[None]:
    match asker.settings.kind:
        case DoorKind.OIP:
            return http_door(asker, oip.adapter(asker, metrics))
        case DoorKind.DEEPSTACK:
            return http_door(asker, deepstack.adapter(asker))
        case DoorKind.DOODS:
            return http_door(asker, doods.adapter(asker))
        case DoorKind.DASHBOARD:
            return http_door(asker, dashboard.adapter(asker, models, shown if asker.settings.pictures else None))
        case DoorKind.FRIGATE_ZMQ:
            from collabd.device.doors.frigate_zmq import frigate_door  # noqa: PLC0415  its pyzmq comes with an extra

            return frigate_door(asker, models, directory / asker.settings.kind)
