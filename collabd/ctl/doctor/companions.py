"""Each companion of the device: the daemon's view of it, doctor's own attempt to reach it, its clock, its packages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from collab_sdk.vocabulary import BreakerState, CompanionState
from collabd.ctl.doctor.context import COMPANION, DEVICE, Context
from collabd.ctl.doctor.finding import Finding, Severity
from collabd.ctl.doctor.machine import AS_ROOT

if TYPE_CHECKING:
    from collab_sdk.reports import CloudReport, ModelReport
    from collabd.config import CloudSettings
    from collabd.ctl.doctor.reach import Reached

# Without a working daemon, the state of a companion says nothing useful.
_UNLESS = ("socket", "access", "daemon", "service", "configuration")
_CLOCKS_AGREE_S = 30.0


def check_companions(context: Context) -> Iterator[Finding]:
    """All companions that the device is configured for."""
    if DEVICE not in context.roles:
        return
    status = context.heard.status
    known = {cloud["name"]: cloud for cloud in status["clouds"]} if status else {}
    if context.device is None:
        yield from (of_status(cloud) for cloud in known.values())
        return
    if not context.device.clouds:
        yield Finding(
            "companion",
            "note",
            "no companion is configured: everything runs on this device",
            advice="Add one: sudo collabctl pair add FILE, or [[clouds]] in the configuration",
        )
    for cloud in context.device.clouds:
        yield from _one(cloud, known.get(cloud.name), status["models"] if status else [])


def check_listening(context: Context) -> Iterator[Finding]:
    """Whether the companion that is installed here takes connections."""
    import socket

    if COMPANION not in context.roles or context.companion is None:
        return
    server = context.companion.server
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    try:
        socket.create_connection((host, server.port), 5).close()
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        title = f"collab-cloudd does not listen on {server.host}, port {server.port}: {said}"
        yield Finding(
            "listening",
            "error",
            title,
            advice="Start it: sudo systemctl start collab-cloudd",
            unless=("service", "configuration"),
        )
        return
    title = f"collab-cloudd listens on {server.host}, port {server.port}"
    if server.host.startswith("127.") or server.host in {"::1", "localhost"}:
        yield Finding(
            "listening",
            "note",
            f"{title}: no other machine can reach it",
            advice="Make keys, which also sets [server] host: sudo collabctl pair new DEVICE",
        )
    else:
        yield Finding("listening", "ok", title)


def _one(cloud: CloudSettings, known: CloudReport | None, models: list[ModelReport]) -> Iterator[Finding]:
    from collabd.ctl.doctor.reach import Unreached, reach
    from collabd.keys.files import KeyProblem

    if known is not None:
        yield of_status(known)
    found_at = known["found_at"] if known is not None else None
    url = found_at or cloud.url
    try:
        reached = reach(cloud, found_at)
    except Unreached as error:
        yield Finding("companion", "error", f"{cloud.name}: {error}", advice=error.advice, unless=_UNLESS)
    except PermissionError:
        yield Finding("companion", "not-measured", f"{cloud.name}: this user may not read its keys", advice=AS_ROOT)
    except KeyProblem as error:
        if isinstance(error.__cause__, PermissionError):
            yield Finding("companion", "not-measured", f"{cloud.name}: this user may not read its keys", advice=AS_ROOT)
        else:
            yield Finding(
                "companion", "error", f"{cloud.name}: {error}", advice="Make keys with collabctl pair", unless=("keys",)
            )
    else:
        yield Finding(
            "companion",
            "ok",
            f"{cloud.name} at {url} answers, and accepts the key of this device"
            if cloud.token_file
            else f"{cloud.name} at {url} answers",
        )
        if found_at:
            yield Finding(
                "companion",
                "note",
                f"collabd found {cloud.name} there, and no longer at {cloud.url}, where it looks first after a restart",
                advice="If it is to stay there: collabctl pair renew on the companion, and write the address into url",
            )
        yield of_clock(cloud.name, reached, datetime.now(UTC))
        yield from of_packages(cloud, reached, models)


def of_status(known: CloudReport) -> Finding:
    """The finding for the companion's state, as the daemon reports it."""
    name = known["name"]
    if known["state"] == CompanionState.UP:
        return Finding("companion", "ok", f"collabd says that {name} is up")
    breaker: dict[str, str] = {
        BreakerState.OPEN: "it failed, and collabd leaves it alone for a while",
        BreakerState.HALF_OPEN: "it failed, and collabd tries it again",
    }
    reason = breaker.get(known["breaker"], "it has not answered yet")
    return Finding(
        "companion",
        "warning",
        f"collabd says that {name} is {known['state']}: {reason}",
        advice="Read what happened: journalctl -e -u collabd",
        unless=_UNLESS,
    )


def of_clock(name: str, reached: Reached, now: datetime) -> Finding:
    """The difference between the companion's clock and ours, in whole seconds, as HTTP dates have no fractions."""
    try:
        theirs = parsedate_to_datetime(reached.date or "")
    except ValueError:
        return Finding("companion-clock", "not-measured", f"{name} does not tell its time")
    off_s = abs((theirs - now).total_seconds())
    if off_s <= _CLOCKS_AGREE_S:
        return Finding("companion-clock", "ok", f"the clocks of this machine and of {name} agree")
    title = f"the clocks of this machine and of {name} differ by {off_s:.0f} s"
    return Finding(
        "companion-clock",
        "note",
        title,
        advice="Certificates are valid by the clock. "
        "On the machine with the wrong clock: sudo timedatectl set-ntp true",
    )


def of_packages(cloud: CloudSettings, reached: Reached, models: list[ModelReport]) -> Iterator[Finding]:
    """The device's models that the companion lacks or holds with another digest."""
    held = set(reached.packages.values())
    lacking = [model for model in models if model["digest"] not in held]
    if models and not lacking:
        yield Finding("companion-packages", "ok", f"{cloud.name} holds all {len(models)} models of this device")
    for model in lacking:
        other = f"another version of {model['name']}" if model["name"] in reached.packages else f"no {model['name']}"
        advice = (
            f"Install this device's package there ({model['path']}), because push_packages = false forbids to send it"
        )
        if cloud.push_packages:
            advice = "collabd sends the package when it can. If this does not end, read why: journalctl -e -u collabd"
        severity: Severity = "note" if cloud.push_packages else "warning"
        title = f"{cloud.name} holds {other}, so this model runs only on this device"
        yield Finding("companion-packages", severity, title, advice=advice, unless=_UNLESS)
