"""The page itself over HTTP: its files, the headers that bind browsers, and who may look where there are no keys."""

from __future__ import annotations

import ipaddress
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from collab_sdk.errors import PermissionRefused
from collabd.dashboard.assets import Asset, read_assets

_ROOT = "/dashboard"
# Told to everybody, so that the page can ask for a key before it is refused.
_ABOUT = "about.json"
# All that the page may load, and only from where it came. Nothing in it makes HTML of text, and no browser that knows
# trusted types would let it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # A newer daemon brings a newer page.
    hdrs.CACHE_CONTROL: "no-cache",
}
_DATA_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    hdrs.CACHE_CONTROL: "no-store",
}


def bind(reply: web.StreamResponse) -> None:
    """Give an answer the headers that bind browsers, unless it has stricter ones."""
    for name, value in _DATA_HEADERS.items():
        reply.headers.setdefault(name, value)


class Viewed(NamedTuple):
    """What a page is about: `daemon` is the one that serves it. `keys`: whether it shows nothing without a key."""

    daemon: Literal["collabd", "collab-cloudd"]
    keys: bool


class DashboardPage:
    """The page of one daemon. Making it reads its files."""

    def __init__(self, viewed: Viewed) -> None:
        self._viewed = viewed
        about = Asset(msgspec.json.encode({"daemon": viewed.daemon, "keys": viewed.keys}), "application/json")
        self._assets = {f"{_ROOT}/{name}": asset for name, asset in {**read_assets(), _ABOUT: about}.items()}
        # Those that everybody may ask for.
        self.paths = frozenset({_ROOT, *self._assets})

    def routes(self) -> list[web.RouteDef]:
        """Its paths."""
        return [web.get(_ROOT, self._forward), *(web.get(path, self._give) for path in self._assets)]

    def check_name(self, request: web.Request) -> None:
        """Let browsers look by this machine's own names alone, where no key guards what is shown.

        Who looks at another page on this machine can be led here under a name of that page (DNS rebinding), and that
        page could then read along. With a key it cannot: browsers keep that for the name under which it was given.
        Raises `PermissionRefused`.
        """
        if not self._viewed.keys and not _is_meant(request):
            raise PermissionRefused(
                "this dashboard has no keys, and answers only by this machine's own names: localhost, 127.0.0.1"
            )

    async def _give(self, request: web.Request) -> web.Response:
        asset = self._assets[request.path]
        return web.Response(body=asset.body, headers={**_PAGE_HEADERS, hdrs.CONTENT_TYPE: asset.kind})

    async def _forward(self, _: web.Request) -> web.Response:
        # Where the page stands, also behind a proxy that puts it elsewhere.
        return web.Response(status=308, headers={**_PAGE_HEADERS, hdrs.LOCATION: "dashboard/"})


def _is_meant(request: web.Request) -> bool:
    """Whether whoever asks on this machine asks by a name of this machine. Who comes from elsewhere was let in."""
    local = None if request.transport is None else request.transport.get_extra_info("sockname")
    if not isinstance(local, tuple) or not _is_loopback(str(local[0])):
        return True
    try:
        name = urlsplit(f"//{request.headers.get(hdrs.HOST, '')}").hostname
    except ValueError:
        return False
    return name in {None, "localhost"} or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False
