"""The keys of a door: who may call through it, and the certificate that it shows."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from importlib.util import find_spec

from collab_sdk.vocabulary import DoorKind
from collabd.config import DeviceConfig, DoorSettings
from collabd.http.listening import binds_loopback, host_and_port, is_ipc
from collabd.keys import tls
from collabd.keys.files import KeyProblem
from collabd.keys.tokens import Tokens, read_tokens


class DoorKeys:
    """The keys in force. Raises `KeyProblem` where a key file cannot be used."""

    def __init__(self, settings: DoorSettings) -> None:
        self._settings = settings
        self._tokens = _tokens(settings)
        self.tls = _tls(settings)

    def renew(self) -> None:
        """Read the key files again. They hold for new calls and connections; on `KeyProblem` nothing changes."""
        tokens, checked = _tokens(self._settings), _tls(self._settings)
        if self.tls is not None and checked is not None:
            tls.present(self.tls, self._settings.tls_cert, self._settings.tls_key)
        self._tokens = tokens

    @property
    def wanted(self) -> bool:
        """Whether a call needs a token."""
        return self._tokens is not None

    def owner(self, token: str) -> str | None:
        """The name of the program whose token this is; None: nobody's."""
        return None if self._tokens is None else self._tokens.device(f"Bearer {token}")


def problems(config: DeviceConfig) -> list[str]:
    """Everything that is wrong with the keys of the doors, one line each."""
    return [
        problem
        for index, door in enumerate(config.doors)
        for problem in (_without_keys if door.kind == DoorKind.FRIGATE_ZMQ else _problems)(door, f"doors[{index}].")
    ]


def _without_keys(door: DoorSettings, prefix: str) -> Iterator[str]:
    """Of a door whose protocol has no keys."""
    if find_spec("zmq") is None:
        yield f"{prefix}kind: a door of kind {door.kind} needs pyzmq: pip install 'collabd[frigate]'"
    for name in ("token_file", "tls_cert", "tls_key"):
        if getattr(door, name):
            yield f"{prefix}{name}: Frigate's detector zmq knows no keys: leave {name} out"
    if not (is_ipc(door.listen) or door.insecure or binds_loopback(host_and_port(door.listen)[0])):
        yield (
            f"{prefix}listen: {door.listen!r} is open to other machines, and Frigate's detector zmq knows no keys: "
            "listen on 127.0.0.1 or at ipc:///PATH (or set insecure = true to answer whoever comes)"
        )


def _problems(door: DoorSettings, prefix: str) -> Iterator[str]:
    if bool(door.tls_cert) != bool(door.tls_key):
        yield f"{prefix}tls_cert: tls_cert and tls_key need each other"
        return
    try:
        DoorKeys(door)
    except KeyProblem as problem:
        yield str(problem)
    if door.administrators and not (door.token_file and door.kind == DoorKind.OIP):
        yield f"{prefix}administrators: only the keys of a door of kind {DoorKind.OIP} can load models: set token_file"
    if door.pictures and door.kind != DoorKind.DASHBOARD:
        yield f"{prefix}pictures: only a door of kind {DoorKind.DASHBOARD} shows any"
    missing = [name for name, given in (("a token", door.token_file), ("TLS", door.tls_cert)) if not given]
    if missing and not door.insecure and not binds_loopback(host_and_port(door.listen)[0]):
        yield (
            f"{prefix}listen: {door.listen!r} is open to other machines without {' and '.join(missing)}: "
            "set token_file, tls_cert and tls_key (or set insecure = true to go without)"
        )


def _tokens(door: DoorSettings) -> Tokens | None:
    return read_tokens(door.token_file) if door.token_file else None


def _tls(door: DoorSettings) -> ssl.SSLContext | None:
    return tls.server_context(door.tls_cert, door.tls_key, "") if door.tls_cert and door.tls_key else None
