"""The board: power and heat as the daemon senses them, memory and the kernel's limits of it, room on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from collabd.ctl.doctor.context import DEVICE, Context
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import ExaminedMachine, Memory

if TYPE_CHECKING:
    from collab_sdk.reports import DeviceReport

_HOT_C = 80.0  # where a Raspberry Pi begins to slow down
_LEAST_MEMORY_SHARE = 0.1
_LEAST_DISK_BYTES = 200e6
_NO_DISK_BYTES = 20e6
_SENSED = ("socket", "access", "service", "daemon")
_ADVICE = {
    "under-voltage": "Use the board's own power supply and a short, thick cable",
    "throttled": "Cool the board: a heat sink, a fan, air around it",
}


def check_power(context: Context) -> Iterator[Finding]:
    """Under-voltage, throttling and heat, for which only the daemon has sensors."""
    if DEVICE not in context.roles:
        return
    if context.heard.status is None:
        yield Finding(
            "power", "not-measured", "only collabd senses power and heat, and it does not answer", unless=_SENSED
        )
        return
    device = context.heard.status["device"]
    yield of_power(device)
    yield of_temperature(device)


def of_power(device: DeviceReport) -> Finding:
    """The reasons why the firmware throttles the processor."""
    now, before = device["throttled"], device["throttled_before"]
    if now is None or before is None:
        return Finding("power", "not-measured", "this machine's firmware does not report under-voltage and throttling")
    if not now and not before:
        return Finding("power", "ok", "no under-voltage and no throttling since collabd or the machine started")
    flags = now or before
    title = f"the firmware {'slows' if now else 'earlier slowed'} this machine down: {', '.join(flags)}"
    advice = _ADVICE["under-voltage" if "under-voltage" in flags else "throttled"]
    return Finding("power", "warning", title, advice=advice)


def of_temperature(device: DeviceReport) -> Finding:
    """How hot the processor is."""
    celsius = device["temperature_c"]
    if celsius is None:
        return Finding("temperature", "not-measured", "this machine has no thermometer that collabd can read")
    title = f"the processor is at {celsius:.0f} °C"
    if celsius >= _HOT_C:
        return Finding("temperature", "warning", title, advice=_ADVICE["throttled"])
    return Finding("temperature", "ok", title)


def check_memory(context: Context) -> Iterator[Finding]:
    """Whether the kernel keeps the limits of the units, and whether memory is left."""
    yield of_controller(context.machine)
    yield of_memory(context.machine.memory())


def of_controller(machine: ExaminedMachine) -> Finding:
    """Whether the kernel has the memory controller."""
    controllers = machine.read("/sys/fs/cgroup/cgroup.controllers")
    v1 = machine.path("/sys/fs/cgroup/memory").is_dir()
    if controllers is None and not v1:
        return Finding("memory-limit", "not-measured", "there are no control groups under /sys/fs/cgroup")
    if v1 or "memory" in (controllers or "").split():
        return Finding("memory-limit", "ok", "the kernel keeps the memory limits of the units")
    title = "the kernel runs without its memory controller, so MemoryMax= of the units does nothing"
    advice = "Add cgroup_enable=memory to the only line of /boot/firmware/cmdline.txt, and reboot"
    return Finding("memory-limit", "note", title, advice=advice)


def of_memory(memory: Memory | None) -> Finding:
    """The finding for the memory that is left."""
    if memory is None:
        return Finding("memory", "not-measured", "/proc/meminfo does not say how much memory is free")
    title = f"{memory.left / 1e6:.0f} of {memory.total / 1e6:.0f} MB of memory are free"
    title += f", {memory.swap_left / 1e6:.0f} of {memory.swap / 1e6:.0f} MB of swap" if memory.swap else ", no swap"
    if memory.left < _LEAST_MEMORY_SHARE * memory.total:
        return Finding(
            "memory", "warning", title, advice="End other programs, serve fewer models, or lower [engine] cache_mb"
        )
    return Finding("memory", "ok", title)


def check_disk(context: Context) -> Iterator[Finding]:
    """Free disk space where the daemons store what they learn."""
    for settings in context.settings:
        own = settings.config.state_dir if settings.config else ""
        state = Path(own) if own else context.machine.path(f"/var/lib/{settings.role.program}")
        yield of_room(state, context.machine.free_bytes(_existing(state)))


def of_room(path: Path, free: int) -> Finding:
    """The finding for this many free bytes."""
    title = f"{free / 1e6:.0f} MB are free for {path}"
    advice = "Make room, or collabd cannot keep profiles and packages"
    if free < _NO_DISK_BYTES:
        return Finding("disk", "error", title, advice=advice)
    return (
        Finding("disk", "warning", title, advice=advice) if free < _LEAST_DISK_BYTES else Finding("disk", "ok", title)
    )


def _existing(path: Path) -> Path:
    """The nearest parent directory that exists and that this user may read."""
    for place in (path, *path.parents):
        try:
            if place.exists():
                return place
        except OSError:
            continue
    return Path("/")
