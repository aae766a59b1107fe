"""The daemons as systemd sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collabd.ctl.doctor.context import DEVICE, Context, Role
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import ExaminedMachine

_BAD_CONFIGURATION = "78"
_PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")
_RESULTS = {
    "oom-kill": "the machine ran out of memory and the kernel killed it",
    "watchdog": "it hung, and its watchdog ended it",
    "timeout": "it did not start or stop in time",
    "signal": "a signal ended it",
    "core-dump": "it crashed",
    "start-limit-hit": "it failed too often in a short time",
    "exit-code": "it ended with an error",
    "resources": "the system lacks what its unit asks for",
}


def check_services(context: Context) -> Iterator[Finding]:
    """One finding for each daemon that is installed."""
    if not context.machine.path("/run/systemd/system").exists():
        yield Finding("service", "not-measured", "systemd does not run here, so nothing says whether a service runs")
        return
    for role in context.roles:
        state = _state(context.machine, role.unit)
        if state is None:
            yield Finding("service", "not-measured", f"{role.program}: systemctl does not answer")
        elif state.get("LoadState") != "not-found":
            yield of_state(role, state, socket=_state(context.machine, "collabd.socket") or {})


def of_state(role: Role, state: Mapping[str, str], socket: Mapping[str, str]) -> Finding:
    """The finding for a unit's properties."""
    program, active = role.program, state.get("ActiveState", "")
    start = f"sudo systemctl start {program}"
    if active in {"active", "reloading"}:
        return Finding("service", "ok", f"{program} runs as a service")
    if active == "failed" or state.get("SubState") == "auto-restart" or _pauses(state):
        return _failed(program, state)
    if active in {"activating", "deactivating"}:
        return Finding("service", "note", f"{program} is {active}", advice="Wait: collabctl wait")
    if role == DEVICE and socket.get("ActiveState") == "active":
        return Finding("service", "ok", f"{program} is not running, and starts with the first call")
    return Finding("service", "error", f"{program} is not running", advice=f"Start it: {start}")


def _pauses(state: Mapping[str, str]) -> bool:
    """Whether the service failed and its unit waits before systemd may start it again."""
    return state.get("SubState") == "stop-post" and state.get("Result") != "success"


def _failed(program: str, state: Mapping[str, str]) -> Finding:
    if state.get("ExecMainStatus") == _BAD_CONFIGURATION:
        check = f"/etc/collabd/{program}.toml, and check it: {program} --check"
        return Finding(
            "service", "error", f"{program} has failed: it refuses its configuration", advice=f"Correct {check}"
        )
    result = state.get("Result", "")
    reason = _RESULTS.get(result, result or "unknown reason")
    return Finding(
        "service", "error", f"{program} has failed: {reason}", advice=f"Read why: journalctl -e -u {program}"
    )


def _state(machine: ExaminedMachine, unit: str) -> dict[str, str] | None:
    answer = machine.run(["systemctl", "show", f"--property={','.join(_PROPERTIES)}", unit])
    if answer is None or answer.status:
        return None
    return dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
