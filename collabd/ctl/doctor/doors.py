"""Each door of the device: whether it is open, and whether what answers there is the door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from collab_sdk.vocabulary import DoorKind
from collabd.ctl.doctor.context import DEVICE, Context
from collabd.ctl.doctor.finding import Finding

if TYPE_CHECKING:
    from collabd.config import DoorSettings

# What each protocol answers to anybody, also to those without a key.
_ASKED = {
    DoorKind.OIP: ("/v2/health/live", {200}),
    DoorKind.DEEPSTACK: ("/v1/server/status/ping", {200}),
    DoorKind.DOODS: ("/detectors", {200, 401}),
    DoorKind.DASHBOARD: ("/dashboard/about.json", {200}),
}
_WITHOUT_KEYS = {
    DoorKind.FRIGATE_ZMQ: "Frigate's detector zmq knows no keys: listen on 127.0.0.1 or at ipc:///PATH if you can"
}
_GET_KEYS = "Set token_file, tls_cert and tls_key where its programs know them: collabctl doors key PROGRAM"
_TIMEOUT_S = 5.0
_UNLESS = ("socket", "access", "daemon", "service", "configuration", "keys")


def check_doors(context: Context) -> Iterator[Finding]:
    """All doors that the device is configured for."""
    if DEVICE in context.roles and context.device is not None:
        yield from (_one(door) for door in context.device.doors)


def _one(door: DoorSettings) -> Finding:
    about = f"the door {door.kind} at {door.listen}"
    if (failure := _failure(door)) is not None:
        advice = (
            "Restart the daemon if the door is new (sudo systemctl restart collabd), and read: journalctl -u collabd"
        )
        return Finding("door", "error", f"{about}: {failure}", advice=advice, unless=_UNLESS)
    if door.insecure and not (door.token_file and door.tls_cert) and _is_open_to_others(door):
        advice = _WITHOUT_KEYS.get(DoorKind(door.kind), _GET_KEYS)
        return Finding("door", "warning", f"{about} answers other machines without keys", advice=advice)
    return Finding("door", "ok", f"{about} answers")


def _failure(door: DoorSettings) -> str | None:
    """Why the door does not answer as it should; None: it does."""
    import http.client
    import socket

    from collabd.http.listening import host_and_port, ipc_path, is_ipc

    try:
        if is_ipc(door.listen):
            with socket.socket(socket.AF_UNIX) as tried:
                tried.settimeout(_TIMEOUT_S)
                tried.connect(ipc_path(door.listen))
            return None
        where = (_reached(_host(door)), host_and_port(door.listen)[1])
        if door.kind not in _ASKED:
            socket.create_connection(where, _TIMEOUT_S).close()
            return None
        path, fine = _ASKED[door.kind]
        status = _status(door, where, path)
    except (OSError, http.client.HTTPException) as error:
        said = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        return f"it does not answer: {said}"
    return None if status in fine else f"another program answers there (status {status})"


def _status(door: DoorSettings, where: tuple[str, int], path: str) -> int:
    """The status of the answer to GET. Raises `OSError`, `HTTPException`."""
    import http.client
    import ssl

    if door.tls_cert:
        # The door's certificate lies on this machine; the names in it are for other machines.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            *where, timeout=_TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(*where, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def _is_open_to_others(door: DoorSettings) -> bool:
    from collabd.http.listening import binds_loopback, is_ipc

    return not is_ipc(door.listen) and not binds_loopback(_host(door))


def _host(door: DoorSettings) -> str:
    from collabd.http.listening import host_and_port

    return host_and_port(door.listen)[0]


def _reached(host: str) -> str:
    """Where this machine reaches what listens on `host`."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
