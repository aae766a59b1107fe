"""The way to a companion, step by step as the daemon would go it, up to the first step that fails."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collab_sdk.text import plain

if TYPE_CHECKING:
    from collabd.config import Cloud

_TIMEOUT_S = 5.0
_MOST_BYTES = 2**20
_PORTS = {"http": 80, "https": 443}


class Unreached(Exception):
    """A step failed: what happened, and what to do."""

    def __init__(self, title: str, advice: str) -> None:
        super().__init__(plain(title))
        self.advice = advice


@dataclass(frozen=True)
class Reached:
    """What it said: the Date of its clock, and name and digest of the packages that it holds."""

    date: str | None = None
    packages: dict[str, str] = field(default_factory=dict)


def reach(cloud: Cloud) -> Reached:
    """Name, connection, TLS, life, key. Raises `Unreached`, and `KeyProblem` where a key file cannot be used."""
    authorization = _authorization(cloud)
    with closing(_connection(cloud)) as connection:
        live, headers, _ = _get(connection, "/v2/health/live", {})
        if live != HTTPStatus.OK:
            title = f"{cloud.url} answers, but it is not a companion (status {live})"
            raise Unreached(title, "Correct the url of this companion")
        status, _, body = _get(connection, "/collab/v1/packages", authorization)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        title = (
            "it does not know the key of this device"
            if authorization
            else "it asks for a key, but this device has none for it"
        )
        raise Unreached(
            title, "Make a key on the companion and add it on this device: collabctl pair new, collabctl pair add"
        )
    return Reached(headers["Date"], _packages(body))


def _connection(cloud: Cloud) -> HTTPConnection:
    """Connected, with TLS where the url says so."""
    from collabd.keys.tls import client_context

    url = urlsplit(cloud.url)
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    tls = client_context(cloud.ca_file, cloud.client_cert, cloud.client_key) if url.scheme == "https" else None
    bare = _connected(host, port)
    connection = HTTPConnection(host, port)
    connection.auto_open = 0  # it would open a plain one where TLS was cut off
    connection.sock = bare if tls is None else _encrypted(bare, tls, host)
    return connection


def _connected(host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), _TIMEOUT_S)
    except (socket.gaierror, UnicodeError) as error:
        title = f"the name {host} has no address: {error}"
        raise Unreached(title, "Correct the url, or the network's name service") from error
    except ConnectionRefusedError as error:
        start = "Start it there: sudo systemctl start collab-cloudd. Does it listen to other machines ([server] host)?"
        raise Unreached(f"no program listens on port {port} of {host}", start) from error
    except OSError as error:
        title = f"no connection to {host}, port {port}: {(error.strerror or str(error)).lower()}"
        raise Unreached(
            title, f"Is the machine on and in this network, and does its firewall let port {port} through?"
        ) from error


def _encrypted(bare: socket.socket, tls: ssl.SSLContext, host: str) -> socket.socket:
    try:
        return tls.wrap_socket(bare, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        title = f"its certificate is refused: {error.verify_message}"
        raise Unreached(
            title,
            "Do the clocks agree? If so, add its certificate on this device: collabctl pair new, collabctl pair add",
        ) from error
    except OSError as error:
        advice = "Does it speak TLS ([server] tls_cert there), and does it know this device's certificate?"
        raise Unreached(f"TLS fails: {error}", advice) from error


def _get(connection: HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, Message, bytes]:
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read(_MOST_BYTES)
    except (HTTPException, OSError) as error:
        title = f"it accepts connections but does not answer: {error}"
        raise Unreached(
            title, "Does collab-cloudd listen on that port? If it speaks TLS, the url must begin with https"
        ) from error


def _authorization(cloud: Cloud) -> dict[str, str]:
    from collabd.keys.tokens import read_token

    return {"Authorization": f"Bearer {read_token(cloud.token_file)}"} if cloud.token_file else {}


def _packages(body: bytes) -> dict[str, str]:
    try:
        listed: list[dict[str, Any]] = json.loads(body)
        return {str(package["name"]): str(package["digest"]) for package in listed}
    except (ValueError, KeyError, TypeError):
        return {}
