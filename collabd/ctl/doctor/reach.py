"""The way to a companion, step by step as the daemon would go it, up to the first step that fails."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from yarl import URL

from collab_sdk.text import plain
from collabd.keys.tls import client_context
from collabd.keys.tokens import read_token

if TYPE_CHECKING:
    from collabd.config import CloudSettings

_TIMEOUT_S = 5.0
_MOST_BYTES = 2**20
_PIECE_BYTES = 2**16


class Unreached(Exception):
    """A step failed: what happened, and what to do."""

    def __init__(self, title: str, advice: str) -> None:
        super().__init__(plain(title))
        self.advice = advice


@dataclass(frozen=True)
class Reached:
    """The companion's answer: the Date of its clock, and the names and digests of its packages."""

    date: str | None = None
    packages: dict[str, str] = field(default_factory=dict)


def reach(cloud: CloudSettings, found_at: str | None = None) -> Reached:
    """Try name, connection, TLS, liveness and key in turn. `Unreached`: a step failed. `KeyProblem`: a bad key file.

    `found_at`: where the daemon found the companion. The certificate has to be for the host that is configured.
    """
    url = found_at or cloud.url
    authorization = _authorization(cloud)
    with _session(cloud) as session:
        live = _get(session, url, "/v2/health/live", headers={})
        if live.status != HTTPStatus.OK:
            title = f"{url} answers, but it is not a companion (status {live.status})"
            raise Unreached(title, "Correct the url of this companion")
        listed = _get(session, url, "/collab/v1/packages", headers=authorization)
    if listed.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        title = (
            "it does not know the key of this device"
            if authorization
            else "it asks for a key, but this device has none for it"
        )
        raise Unreached(title, "Make a key on the companion and add it here: collabctl pair new, collabctl pair add")
    return Reached(listed.date, _packages(listed.body))


class _Reply(NamedTuple):
    """The parts of a reply that doctor reads; `body` may be only the beginning of the body."""

    status: int
    date: str | None
    body: bytes


class _Verified(HTTPAdapter):
    """Trusts the same authorities as the daemon, because `tls` is made from the key files in the same way.

    `certified`: the host that the certificate has to be for.
    """

    def __init__(self, tls: ssl.SSLContext, certified: str | None) -> None:
        self._tls = tls
        self._certified = certified
        super().__init__()

    def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(*args, **options)
        return host, {**pool, "ssl_context": self._tls, "server_hostname": self._certified}

    def cert_verify(self, *_: Any) -> None:
        """Add nothing to the TLS context: requests would also trust the authorities of its own list."""


def _session(cloud: CloudSettings) -> requests.Session:
    session = requests.Session()
    # The daemon uses neither proxies nor ~/.netrc.
    session.trust_env = False
    if cloud.url.startswith("https:"):
        tls = client_context(cloud.ca_file, cloud.client_cert, cloud.client_key)
        session.mount("https://", _Verified(tls, URL(cloud.url).host))
    return session


def _get(session: requests.Session, url: str, path: str, *, headers: dict[str, str]) -> _Reply:
    try:
        with session.get(
            url.rstrip("/") + path, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
        ) as reply:
            body = b""
            for piece in reply.iter_content(_PIECE_BYTES):
                body += piece
                if len(body) > _MOST_BYTES:
                    break
            return _Reply(reply.status_code, reply.headers.get("Date"), body)
    except requests.RequestException as error:
        raise _failed(error, URL(url)) from error


def _failed(error: requests.RequestException, url: URL) -> Unreached:
    """The failed step and what to do about it. The error of requests wraps an error of the system or of TLS."""
    host, port, cause = url.host, url.port, _first_cause(error)
    if isinstance(error, requests.exceptions.InvalidURL) or isinstance(cause, socket.gaierror):
        title = f"the name {host} has no address: {cause}"
        return Unreached(title, "Correct the url, or the network's name service")
    if isinstance(cause, ConnectionRefusedError):
        start = "Start it there: sudo systemctl start collab-cloudd. Does it listen to other machines ([server] host)?"
        return Unreached(f"no program listens on port {port} of {host}", start)
    if isinstance(cause, ssl.SSLCertVerificationError):
        title = f"its certificate is refused: {cause.verify_message}"
        return Unreached(
            title, "Do the clocks agree? If so, add its certificate here: collabctl pair new, collabctl pair add"
        )
    if isinstance(cause, ssl.SSLError):
        advice = "Does it speak TLS ([server] tls_cert there), and does it know this device's certificate?"
        return Unreached(f"TLS fails: {cause}", advice)
    connected = isinstance(error, requests.ReadTimeout) or isinstance(cause, ConnectionError)
    if isinstance(cause, OSError) and not connected:
        title = f"no connection to {host}, port {port}: {(cause.strerror or str(cause)).lower()}"
        return Unreached(title, f"Is it on, in this network, and does its firewall let port {port} through?")
    title = f"it takes connections and does not answer: {cause}"
    return Unreached(title, "Is that port collab-cloudd's, and is https in the url where it speaks TLS?")


def _first_cause(error: BaseException) -> BaseException:
    """The original error, which requests and urllib3 keep as a cause or as an argument of their own errors."""
    passed = next((each for each in error.args if isinstance(each, BaseException)), None)
    below = error.__cause__ or error.__context__ or passed
    return error if below is None else _first_cause(below)


def _authorization(cloud: CloudSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {read_token(cloud.token_file)}"} if cloud.token_file else {}


def _packages(body: bytes) -> dict[str, str]:
    try:
        listed: list[dict[str, Any]] = json.loads(body)
        return {str(package["name"]): str(package["digest"]) for package in listed}
    except (ValueError, KeyError, TypeError):
        return {}
