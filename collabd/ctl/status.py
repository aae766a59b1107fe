"""`collabctl status`: how the daemon, its models and its companions are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collab_sdk.vocabulary import BreakerState, CompanionState, EnergySource, Severity
from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.models.listing import models_table
from collabd.ctl.output import emit, fields, json_option, styled, table

if TYPE_CHECKING:
    from rich.text import Text

    from collab_sdk.reports import (
        AuditsReport,
        CloudReport,
        ConditionReport,
        DeviceReport,
        LastReport,
        RequestsReport,
        StatusReport,
    )
    from collabd.ctl.tables import Table


@click.command(cls=Command)
@json_option
def status(as_json: bool) -> None:
    """Show how the daemon, its models and its companions are.

    Of a companion: whether it is up, with its breaker unless that is closed (open: not asked for a while, half-open: on
    trial); the link as estimated now, there and back and each way, and seconds since it was last used; its queue; the
    share of its CPUs in use; how many times its profiled time it takes now; how many models it holds. Below, what it
    last failed at while it is not up, and why it does not serve a model.

    Health: what somebody should know, since when, and what to do about it (docs/health.md). It is left out where
    nothing is to be told.

    Audits compare, while no call is under way, lossy answers about pictures of calls with the unsplit network's.
    """
    with client() as daemon:
        emit(daemon.status(), _render, as_json=as_json)


def _render(report: StatusReport) -> Iterator[Table]:
    yield fields(
        {
            "collabd": _daemon(report),
            "device": _device(report["device"]),
            "machine": _sensed(report["device"]),
            "requests": _requests(report["requests"]),
            "audits": _audits(report["audits"]),
            "last call": figures.UNKNOWN if report["last"] is None else _last(report["last"]),
        }
    )
    if report["health"]:
        yield _health(report["health"])
    if report["clouds"]:
        yield _clouds(report["clouds"])
        yield from _problems(report)
    if report["models"]:
        yield models_table(report["models"])


def _daemon(report: StatusReport) -> str:
    state = "ready" if report["ready"] else "loading"
    return f"{report['version']}, {state}, up {figures.duration(report['uptime_s'])}, process {report['pid']}"


def _device(device: DeviceReport) -> str:
    speed = f"{figures.factor(device['speed_factor'])} its profiled times"
    memory, sessions = figures.number(device["memory_mb"]), figures.number(device["session_mb"])
    return (
        f"CPU {figures.load(device['cpu_load'])}, {speed}, {memory} MB resident, "
        f"{device['sessions']} sessions of {sessions} MB"
    )


def _sensed(device: DeviceReport) -> str:
    known = [f"{figures.number(device['power_w'])} W ({_power_source(device)})"]
    if device["temperature_c"] is not None:
        known.append(f"{device['temperature_c']:.0f} °C")
    if device["frequency_limit_mhz"] is not None and device["frequency_max_mhz"] is not None:
        known.append(f"clock up to {device['frequency_limit_mhz']:.0f} of {device['frequency_max_mhz']:.0f} MHz")
    if device["throttled"] is not None:
        known.append(", ".join(device["throttled"]) or "not throttled")
    if device["battery"] is not None:
        known.append(f"battery {figures.load(device['battery'])}")
    return ", ".join(known)


def _power_source(device: DeviceReport) -> str:
    return EnergySource.MODELLED if device["power_source"] == "model" else f"measured by {device['power_source']}"


def _requests(requests: RequestsReport) -> str:
    return (
        f"{requests['total']}: {requests['remote']} with a companion, {requests['inherited']} inherited, "
        f"{requests['degraded']} degraded, {requests['failed_over']} failed over, "
        f"{requests['budget_missed']} over budget, {requests['failed']} failed"
    )


def _audits(audits: AuditsReport) -> str:
    if not audits["most"]:
        return "off"
    return (
        f"{audits['pictures']} pictures, {audits['copies']} copies, {figures.number(audits['core_s'])} s: "
        f"{figures.share(audits['share'])} of a core, of at most {figures.share(audits['most'])}"
    )


def _last(last: LastReport) -> str | Text:
    plan = figures.plan(last)
    text = (
        f"{last['model']}, {plan}: {figures.number(last['measured_ms'])} ms, "
        f"predicted {figures.number(last['predicted_ms'])}, budget {'met' if last['budget_met'] else 'missed'}"
    )
    return styled(f"{text}; degraded: {last['why']}", "yellow") if last["degraded"] else text


def _health(health: list[ConditionReport]) -> Table:
    """The conditions that stand for themselves, each with those that it explains."""
    built = table("health", "condition", "for", "", long_last=True)
    for each in health:
        if each["behind"] is not None:
            continue
        explained = [
            other["code"] + (f" of {other['about']}" if other["about"] else "")
            for other in health
            if other["behind"] == each["code"]
        ]
        said = [each["what"], f"→ {each['do']}", f"It explains {', '.join(explained)}."]
        built.add_row(
            styled(each["severity"], _SEVERITIES.get(each["severity"], "")),
            each["code"],
            figures.duration(each["since_s"]),
            "\n".join(said if explained else said[:2]),
        )
    return built


def _clouds(clouds: list[CloudReport]) -> Table:
    built = table(
        *("companion", "state", ">rtt ms", ">up Mbit/s", ">down Mbit/s", ">age s", ">queue ms", ">load", ">speed"),
        *(">models", "url"),
        spare=("models", "queue ms", "age s", "speed", "load", "down Mbit/s"),
        long_last=True,
    )
    for cloud in clouds:
        built.add_row(
            cloud["name"],
            _state(cloud),
            *(figures.number(cloud[key]) for key in ("rtt_ms", "up_mbps", "down_mbps", "age_s", "queue_ms")),
            figures.load(cloud["load"]),
            figures.factor(cloud["speed_factor"]),
            str(len(cloud["packages"])),
            cloud["found_at"] or cloud["url"],
        )
    return built


def _problems(report: StatusReport) -> Iterator[Table]:
    problems = {}
    names = {model["digest"]: model["name"] for model in report["models"]}
    for cloud in report["clouds"]:
        said = [f"{names.get(digest, digest)}: {why}" for digest, why in cloud["lacks"].items()]
        if cloud["problem"]:
            said.insert(0, cloud["problem"])
        if cloud["found_at"]:
            said.insert(0, f"found there, and no longer at {cloud['url']}")
        if said:
            problems[cloud["name"]] = styled("\n".join(said), "yellow")
    if problems:
        yield fields(problems)


_SEVERITIES: dict[str, str] = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
_STYLES: dict[str, str] = {CompanionState.UP: "green", CompanionState.DOWN: "red"}


def _state(cloud: CloudReport) -> Text:
    breaker = "" if cloud["breaker"] == BreakerState.CLOSED else f" ({cloud['breaker']})"
    return styled(cloud["state"] + breaker, _STYLES.get(cloud["state"], ""))
