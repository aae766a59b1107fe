"""The Open Inference Protocol v2 over TCP, and the metrics of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from collab_sdk import wire
from collab_sdk.errors import PermissionRefused, Unauthorised
from collabd.device.doors.asker import Asker
from collabd.device.doors.http_door import HttpAdapter
from collabd.device.models.loaded import DEFAULT
from collabd.http import repository
from collabd.http.bodies import body_freed
from collabd.http.error_replies import error_middleware
from collabd.http.metrics_reply import metrics_reply
from collabd.http.parameters import EXTENSIONS
from collabd.http.plain import RequestHead
from collabd.http.protocol import InferenceProtocol, Visit

_OWNER = web.RequestKey("owner", str)
# Monitors ask these without a key. They tell only that there is a daemon.
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
_SCHEME = "bearer "
_REFUSED = "no valid key: send a token of this door in the header `Authorization: Bearer TOKEN`"
# The kernel does not say who is at the other end of TCP, and whoever reaches the door may not be who runs the machine.
_ADMINISTERS = (
    "models are loaded and unloaded here with a key of those in the door's `administrators` alone; at the Unix socket "
    "of collabd, by its administrators"
)


def adapter(asker: Asker, metrics: Callable[[], bytes]) -> HttpAdapter:
    """The paths of the protocol, for calls of any model. A token goes in `Authorization: Bearer TOKEN`.

    `metrics`: those of the daemon, as Prometheus reads them.
    """
    keys, administrators = asker.keys, asker.settings.administrators

    def door(request: web.Request) -> Visit:
        return _OipVisit(asker.visit(request, request.get(_OWNER)), asker)

    def plain_door(head: RequestHead) -> Visit:
        return _OipVisit(asker.visit_of(head), asker)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if keys.wanted and request.path not in _OPEN:
            authorization = request.headers.get(hdrs.AUTHORIZATION, "")
            token = authorization[len(_SCHEME) :] if authorization.lower().startswith(_SCHEME) else ""
            owner = keys.owner(token)
            if owner is None:
                raise Unauthorised(_REFUSED)
            request[_OWNER] = owner
        if request.path.startswith(repository.ADMINISTERED) and request.get(_OWNER) not in administrators:
            raise PermissionRefused(_ADMINISTERS)
        return await handler(request)

    async def told(_: web.Request) -> web.Response:
        """Text for Prometheus."""
        return metrics_reply(metrics())

    # What cannot be used here is not in the list.
    extensions = (*EXTENSIONS, repository.EXTENSION) if administrators else EXTENSIONS
    inference = InferenceProtocol(asker.plane, asker.max_request_bytes, door=door, extensions=extensions)
    app = web.Application(middlewares=[body_freed, error_middleware, guard])
    app.add_routes([*inference.routes(), web.get("/metrics", told)])
    return HttpAdapter(app, None if keys.wanted else inference.plainly(plain_door))


class _OipVisit:
    """A visit whose call gets the model and the budget of the door's settings where it states none."""

    __slots__ = ("_asker", "_visit")

    def __init__(self, visit: Visit, asker: Asker) -> None:
        self._visit = visit
        self._asker = asker

    async def may_read(self) -> None:
        """Wait until the body may be read."""
        await self._visit.may_read()

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer the call."""
        budget, stated = self._asker.settings.budget, request.parameters
        if budget and "budget" not in stated and not stated.get("timeout"):
            # The decoded request may be remembered for later ones, so it is not changed.
            request = replace(request, parameters=stated | {"budget": budget})
        return await self._visit.infer(self._asker.model_or_own(None if name == DEFAULT else name), request)

    def __enter__(self) -> Self:
        self._visit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._visit.__exit__(kind, error, traceback)
