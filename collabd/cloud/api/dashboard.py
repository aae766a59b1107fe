"""The dashboard of the companion: the page, beside the status that it shows."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from collabd.config import CloudServerSettings
from collabd.dashboard import DashboardPage, Viewed, bind

STATUS = "/collab/v1/status"


def page_of(server: CloudServerSettings) -> DashboardPage | None:
    """The page. None: it is not switched on."""
    return DashboardPage(Viewed("collab-cloudd", keys=bool(server.token_file))) if server.dashboard else None


def bound(page: DashboardPage) -> Middleware:
    """A middleware that binds browsers, and touches nothing that the page does not show."""
    shown = page.paths | {STATUS}

    @web.middleware
    async def binding(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in shown:
            return await handler(request)
        page.check_name(request)
        reply = await handler(request)
        bind(reply)
        return reply

    return binding
