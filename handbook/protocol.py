"""The paths of both daemons and of the doors, and the parameters of a call, from the applications that answer them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from inspect import cleandoc, unwrap
from types import SimpleNamespace
from typing import Any

from aiohttp import hdrs, web

from collabd.cloud.api import routes as cloud
from collabd.device.api import routes as device
from collabd.device.api.shared_memory_routes import SharedMemoryRoutes
from collabd.device.doors import deepstack, doods
from collabd.device.job.options import PARAMETERS
from collabd.http.parameters import ALWAYS
from collabd.http.protocol import InferenceProtocol
from handbook.markdown import table

# In place of the parts that answer: only the paths are looked at.
_NOBODY: Any = SimpleNamespace(infer=None, keys=SimpleNamespace(wanted=False))


def applications() -> dict[str, web.Application]:
    """By heading of the page."""
    inference = InferenceProtocol(_NOBODY, 1)
    of_device, _ = device.application(
        InferenceProtocol(_NOBODY, 1, extensions=("system_shared_memory",)),
        device.DeviceRoutes(_NOBODY, _NOBODY, list),
        SharedMemoryRoutes(_NOBODY, hash),
        metrics=bytes,
        administrators="",
    )
    routes = cloud.CloudRoutes(
        dispatcher=_NOBODY,
        models=_NOBODY,
        profiles=_NOBODY,
        reporter=_NOBODY,
        load=_NOBODY,
        counters=_NOBODY,
        packages=_NOBODY,
        push_s=0.0,
    )
    of_companion, _ = cloud.application(inference, routes, None)
    return {
        "collabd, at its Unix socket": of_device,
        "collab-cloudd": of_companion,
        "A door of kind deepstack": deepstack.adapter(_NOBODY).app,
        "A door of kind doods": doods.adapter(_NOBODY).app,
    }


def paths(app: web.Application) -> Iterator[tuple[str, str, str]]:
    """Method, path, and what the path answers. Paths that only refuse are left out, and so are HEAD's."""
    for route in app.router.routes():
        if route.method in {hdrs.METH_HEAD, hdrs.METH_ANY} or route.resource is None:
            continue
        handler = unwrap(route.handler.func if isinstance(route.handler, partial) else route.handler)
        yield route.method, route.resource.canonical, cleandoc(handler.__doc__ or "")


def page() -> str:
    """The parameters of a call, and the paths of each application."""
    parameters = [(f"`{name}`", meaning) for name, meaning in (PARAMETERS | ALWAYS).items()]
    parts = [
        f"## {title}\n\n"
        + table(("method", "path", ""), [(method, f"`{path}`", says) for method, path, says in paths(app)])
        for title, app in applications().items()
    ]
    return (
        "## Parameters of a call\n\nOf `POST /v2/models/{name}/infer`, and `infer(...)` of the SDK has the same:\n\n"
        + "\n".join([table(("parameter", ""), parameters), *parts])
    )
