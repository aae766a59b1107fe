"""Who may use the companion. Every request needs a key, and is not looked at before that."""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Iterator
from http import HTTPStatus

from aiohttp import hdrs, web

from collab_sdk import wire
from collab_sdk.errors import Unauthorised
from collabd.config import CloudConfig, CloudServerSettings
from collabd.http.aiohttp_privates import Answer
from collabd.http.listening import binds_loopback
from collabd.http.plain import reply_bytes
from collabd.keys import tls
from collabd.keys.files import KeyProblem
from collabd.keys.tokens import Tokens, read_tokens

# Monitors ask these without a key. They tell only that there is a companion.
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
_DEVICE = web.RequestKey("device", str)
_REFUSED = "no valid key: send a token of this companion in the header `Authorization: Bearer TOKEN`"
_REFUSAL_BODY = wire.encode_error(Unauthorised(_REFUSED))
_REFUSAL = {hdrs.WWW_AUTHENTICATE: "Bearer", wire.CHECKSUM: wire.checksum(_REFUSAL_BODY)}


class Guard:
    """The keys in force. Raises `KeyProblem` where a key file cannot be used."""

    def __init__(self, server: CloudServerSettings, open_to_all: frozenset[str] = frozenset()) -> None:
        """`open_to_all`: paths that may be read without a key."""
        self._server = server
        self._open = _OPEN | open_to_all
        self._tokens = _tokens(server)
        self.tls = _tls(server)

    def renew(self) -> None:
        """Read the key files again. They hold for new requests and connections; on `KeyProblem` nothing changes."""
        tokens, checked = _tokens(self._server), _tls(self._server)
        if self.tls is not None and checked is not None:
            tls.present(self.tls, self._server.tls_cert, self._server.tls_key)
        self._tokens = tokens

    def before(self, inner: Answer) -> Answer:
        """A handler that gives `inner` only the requests that have a key.

        It stands before the application, which would already say what paths there are, or "100 Continue".
        """

        async def guarded(request: web.BaseRequest) -> web.StreamResponse:
            if self.admits(request):
                return await inner(request)
            return _refusal(request)

        return guarded

    def admits(self, request: web.BaseRequest) -> bool:
        """Whether a request may be looked at."""
        if self._tokens is None or (request.method == hdrs.METH_GET and request.rel_url.raw_path in self._open):
            return True
        device = self._tokens.device(request.headers.get(hdrs.AUTHORIZATION, ""))
        if device is not None:
            request[_DEVICE] = device
        return device is not None

    def device(self, authorization: str, peer: Hashable) -> tuple[bool, Hashable]:
        """Whether a request with this header may be looked at, and who asks: the device of the key, else `peer`."""
        if self._tokens is None:
            return True, peer
        device = self._tokens.device(authorization)
        return device is not None, device


def device_of(request: web.BaseRequest) -> str | None:
    """Who asks: the device whose key it is, else the address; None if it came through another server here."""
    device: str | None = request.get(_DEVICE, request.remote)
    return device


def problems(config: CloudConfig) -> list[str]:
    """What is wrong with the keys of a daemon that listens where `config` says."""
    found = [*_incomplete(config.server), *_unusable(config.server)]
    return found or list(_too_open(config.server))


def require_token(config: CloudConfig) -> None:
    """Raise `KeyProblem` if there is no token. For a companion behind another server, which may listen anywhere."""
    if not (config.server.token_file or config.server.insecure):
        raise KeyProblem(
            "server.token_file: missing, so anyone who reaches Serve could use the companion: "
            "make one with collabctl pair new DEVICE (or set insecure = true to go without)"
        )


def _incomplete(server: CloudServerSettings) -> Iterator[str]:
    if bool(server.tls_cert) != bool(server.tls_key):
        yield "server: tls_cert and tls_key need each other"
    if server.client_ca and not server.tls_cert:
        yield "server.client_ca: needs tls_cert and tls_key"


def _unusable(server: CloudServerSettings) -> Iterator[str]:
    for read in (_tokens, _tls):
        try:
            read(server)
        except KeyProblem as problem:
            yield str(problem)


def _too_open(server: CloudServerSettings) -> Iterator[str]:
    missing = [name for name, given in (("a token", server.token_file), ("TLS", server.tls_cert)) if not given]
    if missing and not server.insecure and not binds_loopback(server.host):
        yield (
            f"server.host: {server.host!r} is open to other machines without {' and '.join(missing)}: "
            "make the keys with sudo collabctl pair new DEVICE (or set insecure = true to go without)"
        )


def _tokens(server: CloudServerSettings) -> Tokens | None:
    return read_tokens(server.token_file) if server.token_file else None


def _tls(server: CloudServerSettings) -> ssl.SSLContext | None:
    if not (server.tls_cert and server.tls_key):
        return None
    return tls.server_context(server.tls_cert, server.tls_key, server.client_ca)


def refusal_to_plain(date: str) -> bytes:
    """The reply to a plain request without a key, which came to its end."""
    headers = {hdrs.CONTENT_TYPE: "application/json", **_REFUSAL}
    return reply_bytes(HTTPStatus(Unauthorised.http_status), headers, [_REFUSAL_BODY], date=date)


def _refusal(request: web.BaseRequest) -> web.Response:
    reply = web.Response(
        body=_REFUSAL_BODY, status=Unauthorised.http_status, content_type="application/json", headers=_REFUSAL
    )
    # The bytes that follow, if any, are the body of this request and not the next request.
    if request.body_exists:
        reply.force_close()
    return reply
