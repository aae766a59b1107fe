"""Extensions of the Open Inference Protocol that a client may ask for and that are not here: each is refused in words.

`GET /v2` does not list them. A client that asks all the same is told what to do instead, in the protocol's own form.
"""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler

from collab_sdk.errors import InvalidRequest

# Said of the extension in `GET /v2` where it is served.
SHARED_MEMORY = "system_shared_memory"

_TRACE = "requests are not traced: collabctl explain shows the last calls of collabd, and where their time went"
_LOGGING = "the log cannot be set up here: the daemon writes to the journal (journalctl)"
_CUDA = "there is no CUDA shared memory: send the tensors with the request"
# Over TCP the kernel names no peer. /proc/net/tcp tells whose the other socket is, but that may be a proxy's or a
# forwarder's, which speaks for strangers: a region of its user would be read for them.
_SHARED = (
    "shared memory works only at the Unix socket of collabd, where the kernel says whose it is: send the tensors with "
    "the request"
)
_MEMORY = ("status", "region/{name}/status", "region/{name}/register", "region/{name}/unregister", "unregister")


def refusals(*, shared_memory: bool) -> list[web.RouteDef]:
    """The paths. `shared_memory`: also those of system shared memory, for where it is not served."""
    paths = {"/v2/trace/setting": _TRACE, "/v2/models/{model}/trace/setting": _TRACE, "/v2/logging": _LOGGING}
    paths |= {f"/v2/cudasharedmemory/{end}": _CUDA for end in _MEMORY}
    if shared_memory:
        paths |= {f"/v2/systemsharedmemory/{end}": _SHARED for end in _MEMORY}
    return [web.route("*", path, _refusing(why)) for path, why in paths.items()]


def _refusing(why: str) -> Handler:
    async def refuse(_: web.Request) -> NoReturn:
        raise InvalidRequest(why)

    return refuse
