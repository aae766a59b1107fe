"""The client of collabd without `infer`: the state of the daemon, and the models that it serves.

It imports neither numpy nor asyncio, for programs that must start at once.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

from collab_sdk._message import Message, decode_json
from collab_sdk._parameters import WireError
from collab_sdk._resending import Resender
from collab_sdk.budget import Budget
from collab_sdk.clock import WaitingClock
from collab_sdk.errors import DaemonUnavailable, DeadlineExceeded, InvalidRequest, NotReady, ProtocolError
from collab_sdk.reports import (
    ConfigReport,
    DoorReport,
    DoorsReport,
    ExplainReport,
    LayersReport,
    ModelReport,
    ModelsReport,
    ProfileReport,
    StatusReport,
)
from collab_sdk.text import plain_values
from collab_sdk.transport import DaemonRequest, Transport
from collab_sdk.unix import UnixTransport
from collab_sdk.vocabulary import CompanionState

__all__ = ["ControlClient"]

_POLL_S = 0.1


class ControlClient:
    """Talks to collabd over its Unix socket, on connections that it keeps; any number of threads may share one.

    ``socket``: its path; None: $COLLABD_SOCKET, else $XDG_RUNTIME_DIR/collabd/collabd.sock if there is one, else
    /run/collabd/collabd.sock, looked for anew until a daemon is there. ``timeout_s``: seconds that a call may take,
    resending it included. ``transport``: what carries the calls instead of a socket, such as `MockTransport` in the
    tests of an application; `close` closes it. ``clock``: what tells the time, and waits between two tries of a call.

    Every method raises `DaemonUnavailable` when no daemon answers, `PermissionRefused` when this user may not open the
    socket, `DeadlineExceeded` after ``timeout_s``, `ProtocolError` for an answer that it cannot read, and for a refusal
    of the daemon the class of its code.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        timeout_s: float = 60,
        *,
        transport: Transport | None = None,
        clock: WaitingClock = time,
    ) -> None:
        if socket is not None and transport is not None:
            raise InvalidRequest("give a socket or a transport, not both")
        self.timeout_s = timeout_s
        self._clock = clock
        self._transport = transport or UnixTransport(socket)
        self._resender = Resender(self._transport, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def status(self) -> StatusReport:
        """The state of the daemon, its models and its companions."""
        return cast("StatusReport", self._call("GET", "/collab/v1/status"))

    def profile(self, model: str, budget: Budget | str | float | None = None) -> ProfileReport:
        """Times and bytes of each cut of a model, and how the planner judges it now for a budget. `UnknownModel`."""
        query = quote(str(Budget.parse(budget)), safe="")
        return cast("ProfileReport", self._call("GET", f"/collab/v1/profile/{quote(model, safe='')}?budget={query}"))

    def layers(self, model: str) -> LayersReport:
        """The layers of a model, one for each letter of a placement. `UnknownModel`."""
        return cast("LayersReport", self._call("GET", f"/collab/v1/models/{quote(model, safe='')}"))

    def explain(self, last: int = 1) -> ExplainReport:
        """The plans considered for the last calls that were answered, and why each was chosen or not."""
        return cast("ExplainReport", self._call("GET", f"/collab/v1/explain?last={last}"))

    def models(self) -> list[ModelReport]:
        """The models that the daemon serves."""
        return cast("ModelsReport", self._call("GET", "/collab/v1/models"))["models"]

    def config(self) -> ConfigReport:
        """The daemon's effective configuration with its origins; secrets are masked."""
        return cast("ConfigReport", self._call("GET", "/collab/v1/config"))

    def doors(self) -> list[DoorReport]:
        """The daemon's doors for other programs, and what has come through each."""
        return cast("DoorsReport", self._call("GET", "/collab/v1/doors"))["doors"]

    def load_model(self, path: str | os.PathLike[str]) -> ModelReport:
        """Have the daemon install and serve the model package in this directory. `InvalidPackage`."""
        # The daemon has a working directory of its own.
        content = {"path": os.path.abspath(path)}  # noqa: PTH100  (Path.absolute keeps "..")
        return cast("ModelReport", self._call("POST", "/collab/v1/models", content))

    def unload_model(self, name: str) -> None:
        """Have the daemon drop this model. `UnknownModel`."""
        self._call("DELETE", f"/collab/v1/models/{quote(name, safe='')}")

    def ready(self) -> bool:
        """Whether the daemon runs and has loaded its models."""
        return not self._unready(self._deadline(None))

    def wait(
        self,
        timeout_s: float = 60,
        *,
        profiled: bool = False,
        companions: bool = False,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """Return once the daemon is ready; if asked, once it has profiled its models, and knows of each companion.

        With ``companions`` that is: it has heard of each companion whether that is up, and the companions that are up
        serve its models or have said why not. ``tell`` is called now and then with what is waited for. Raises
        `DeadlineExceeded`, saying that too.
        """
        deadline, reason = self._deadline(timeout_s), "it does not answer"
        while self._clock.monotonic() < deadline:
            # The last reason that the daemon gave tells more than a timeout of the last request.
            with contextlib.suppress(DeadlineExceeded):
                reason = (
                    self._unready(deadline)
                    or (self._unprofiled(deadline) if profiled else "")
                    or (self._unserved(deadline) if companions else "")
                )
            if not reason:
                return
            if tell is not None:
                tell(reason)
            self._clock.sleep(_POLL_S)
        raise DeadlineExceeded(f"collabd is not ready after {timeout_s:g} s: {reason}")

    def _unready(self, deadline: float) -> str:
        """Why the daemon is not ready; empty: it is."""
        try:
            reply, _ = self._resender.send(DaemonRequest("GET", "/v2/health/ready"), deadline=deadline)
        except DaemonUnavailable as error:
            return str(error)
        if reply.status == NotReady.http_status:
            return "it is still loading its models"
        reply.raise_for_status()
        return ""

    def _unprofiled(self, deadline: float) -> str:
        report = self._call("GET", "/collab/v1/models", deadline=deadline)
        names = [model["name"] for model in cast("ModelsReport", report)["models"] if not model["profiled"]]
        return f"it is still profiling {', '.join(names)}" if names else ""

    def _unserved(self, deadline: float) -> str:
        report = cast("StatusReport", self._call("GET", "/collab/v1/status", deadline=deadline))
        names = {model["digest"]: model["name"] for model in report["models"]}
        for cloud in report["clouds"]:
            if cloud["state"] == CompanionState.UNKNOWN:
                return f"{cloud['name']} has not answered yet"
            if cloud["awaited"]:
                digest = cloud["awaited"][0]
                why = cloud["lacks"].get(digest, "has not said yet whether it holds the package")
                return f"{names.get(digest, digest)}: {cloud['name']} {why}"
        return ""

    def _deadline(self, timeout_s: float | None) -> float:
        seconds = self.timeout_s if timeout_s is None else timeout_s
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidRequest(f"timeout_s: {seconds!r} is not a number of seconds above 0")
        return self._clock.monotonic() + seconds

    def _call(
        self,
        method: str,
        url: str,
        content: Mapping[str, Any] | None = None,
        *,
        deadline: float | None = None,
        goes_on: bool = False,
    ) -> dict[str, Any]:
        message = Message()
        if content is not None:
            message = Message([json.dumps(content).encode()], {"Content-Type": "application/json"})
        # If the daemon made a change just before the connection broke, it would refuse the same request again.
        reply, _ = self._resender.send(
            DaemonRequest(method, url, message),
            deadline=deadline or self._deadline(None),
            resend=method == "GET",
            goes_on=goes_on,
        )
        reply.raise_for_status()
        try:
            return cast("dict[str, Any]", plain_values(decode_json(reply.body)))
        except WireError as error:
            raise ProtocolError(f"cannot read collabd's answer to {method} {url}: {error}") from error
