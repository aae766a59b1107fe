"""How metrics leave: in the text format of Prometheus."""

from __future__ import annotations

from aiohttp import hdrs, web

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_reply(text: bytes) -> web.Response:
    """The metrics, as Prometheus reads them."""
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: _TYPE})
