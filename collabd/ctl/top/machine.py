"""The daemon and its machine: the first lines of the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collabd.ctl import figures
from collabd.ctl.top.glyphs import Canvas, Glyphs, sparkline
from collabd.ctl.top.lines import ScreenLine, Style, spread
from collabd.ctl.top.recent import ALL_CALLS, Recent

if TYPE_CHECKING:
    from collab_sdk.reports import DeviceReport, RequestsReport, StatusReport

# °C. A sparkline is at its highest here; a Raspberry Pi slows down from 80 on.
_HOT_C = 90.0
_WARM_C = 80.0
_GAP = "   "


def daemon_line(report: StatusReport, recent: Recent, canvas: Canvas) -> ScreenLine:
    """How long it runs, and what came of all its calls."""
    state = f"up {figures.duration(report['uptime_s'])}" if report["ready"] else "loading its models"
    left = ScreenLine.of(f"collabd {report['version']}", Style.STRONG)
    left.add(f"  {state}")
    return spread(left, _calls(report["requests"], recent.rate(ALL_CALLS)), canvas.width, more=canvas.glyphs.more)


def _calls(requests: RequestsReport, rate: float | None) -> ScreenLine:
    line = ScreenLine.of(f"calls {figures.size(requests['total'])}")
    line.add(f"  {figures.number(rate)}/s")
    for name, key, style in (
        ("degraded", "degraded", Style.WARNING),
        ("missed", "budget_missed", Style.WARNING),
        ("failed", "failed", Style.BAD),
    ):
        count = requests[key]  # type: ignore[literal-required]
        line.add(f"  {name} {figures.size(count)}", style if count else Style.PLAIN)
    return line


def machine_line(device: DeviceReport, recent: Recent, canvas: Canvas) -> ScreenLine:
    """Load, temperature and power, each with its last minutes."""
    values = [
        (ScreenLine.of(f"CPU {figures.load(device['cpu_load']):>5}"), "cpu", 1.0),
        (ScreenLine.of(*_temperature(device["temperature_c"], canvas.glyphs)), "temperature", _HOT_C),
        (ScreenLine.of(f"{figures.number(device['power_w'])} W{_modelled(device)}"), "power", None),
    ]
    texts = sum(text.width for text, _, _ in values)
    room = (canvas.width - texts - len(_GAP) * (len(values) - 1)) // len(values) - 1
    line = ScreenLine()
    for index, (text, key, most) in enumerate(values):
        line.add(_GAP if index else "").join(text).add(" ")
        line.add(sparkline(recent.series(key), Canvas(room, canvas.glyphs), most), Style.HEAD)
    return line


def _temperature(celsius: float | None, glyphs: Glyphs) -> tuple[str, Style]:
    if celsius is None:
        return f"temperature {figures.UNKNOWN}", Style.PLAIN
    return f"{celsius:.0f} {glyphs.degrees}", Style.WARNING if celsius >= _WARM_C else Style.PLAIN


def _modelled(device: DeviceReport) -> str:
    return " (modelled)" if device["power_source"] == "model" else ""


def details_line(device: DeviceReport) -> ScreenLine:
    """What else the machine says of itself."""
    said = [
        f"{figures.number(device['memory_mb'])} MB resident",
        f"{device['sessions']} sessions of {figures.number(device['session_mb'])} MB",
        f"{figures.factor(device['speed_factor'])} its profiled times",
    ]
    if device["frequency_limit_mhz"] is not None and device["frequency_max_mhz"] is not None:
        said.append(f"clock up to {device['frequency_limit_mhz']:.0f} of {device['frequency_max_mhz']:.0f} MHz")
    if device["battery"] is not None:
        said.append(f"battery {figures.load(device['battery'])}")
    line = ScreenLine.of(", ".join(said), Style.FAINT)
    return line.add(f", {', '.join(device['throttled'])}", Style.BAD) if device["throttled"] else line
