"""Why a URL gives no video: FFmpeg does not tell its callers, so the server is asked once more."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from http import HTTPStatus
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from collab_sdk.camera.source import CameraSource

_PORTS = {"rtsp": 554, "rtsps": 322}


def why_refused(source: CameraSource) -> str:
    """One line: what the server says, or why it does not answer."""
    parts = urlsplit(source.target)
    try:
        status = (_rtsp_status if parts.scheme in _PORTS else _http_status)(parts, source.patience_s)
    except OSError as error:
        said = _unreachable(error, parts, source.patience_s)
    except http.client.HTTPException:
        said = _said(None, parts)
    else:
        said = _said(status, parts)
    return f"{source.shown}: {said}"


def _unreachable(error: OSError, parts: SplitResult, patience_s: float) -> str:
    match error:
        case TimeoutError():
            return f"{parts.hostname} does not answer within {patience_s:.0f} s"
        case socket.gaierror():
            return f"there is no host {parts.hostname}"
        case ssl.SSLError():
            return f"no TLS with {parts.hostname}: {error.reason or error}"
    return f"{parts.hostname} refuses the connection ({error.strerror or error})"


def _said(status: int | None, parts: SplitResult) -> str:
    """What a status means. None: there was none."""
    match status:
        case HTTPStatus.OK:
            return "it answers, but not with a video that can be read"
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            if parts.username is None:
                file = f"in ~/.netrc (machine {parts.hostname} login USER password PASSWORD)"
                return f"it wants a user and a password: give them {file}, or in the URL"
            return f"it refuses this user and password ({status})"
        case HTTPStatus.NOT_FOUND:
            return "there is no such stream (404); the manual of the camera names the path"
        case None:
            return f"what answers there does not speak {parts.scheme}"
    return f"it refuses ({status})"


def _rtsp_status(parts: SplitResult, patience_s: float) -> int | None:
    """The status of DESCRIBE without a user, which a server that wants one refuses as it would a wrong one."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    with socket.create_connection((host, port), patience_s) as plain:
        connection = plain
        if parts.scheme == "rtsps":
            connection = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        with connection:
            connection.sendall(f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
            words = connection.makefile("rb").readline(1024).split()
    is_rtsp = len(words) > 1 and words[0].startswith(b"RTSP/") and words[1].isdigit()
    return int(words[1]) if is_rtsp else None


def _http_status(parts: SplitResult, patience_s: float) -> int:
    request = Request(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))  # noqa: S310  http(s) alone
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urlopen(request, timeout=patience_s) as reply:  # noqa: S310
            return int(reply.status)
    except HTTPError as error:
        return error.code
    except URLError as error:
        raise (error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason))) from error
