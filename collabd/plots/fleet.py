"""The picture of `collabctl simulate --devices N --plot`: what fleets get, by their size and over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collabd.plots import style
from collabd.plots.style import Stroke
from collabd.simulation.fleet.report import FleetReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OURS = Stroke(style.GREEN, "-", 2.0)
_CHOSEN = Stroke(style.PURPLE, "-.", 1.3)
_CHANCE = Stroke(style.BLUE, (0, (5, 1)))
_ALONE = Stroke("0.45", ":")
_NAMES = ("mean latency, ms", "companions' load, %", "offloaded, %")
_SIZE, _SIZE_OF_ONE = (10.0, 7.0), (6.0, 7.0)


def plot(fleets: Sequence[FleetReport], path: Path, *, saturated_by: int) -> None:
    """Write it, as PNG or SVG by the file's ending: over time for the largest fleet, and by size if there are several.

    `saturated_by`: so many devices fill the companions.
    """
    several = len(fleets) > 1
    with style.picture(path, _SIZE if several else _SIZE_OF_ONE) as figure:
        axes = figure.subplots(3, 2 if several else 1, sharex="col", squeeze=False)
        if several:
            _by_size(axes[:, 0].tolist(), fleets, saturated_by)
        _over_time(axes[:, -1].tolist(), fleets[-1])
        for row, name in zip(axes, _NAMES, strict=True):
            for each in row:
                each.set_ylim(bottom=0)
                each.set_ylabel(name)
        if several:
            style.caption(figure, f"Dotted upright line: {saturated_by} devices fill the companions.")


def _by_size(axes: Sequence[Axes], fleets: Sequence[FleetReport], saturated_by: int) -> None:
    latency, load, offloaded = axes
    sizes, ours = [one["devices"] for one in fleets], _OURS.options | {"marker": "o", "markersize": 4}
    latency.plot(sizes, [one["alone_ms"] for one in fleets], **_ALONE.options, label="each device alone")
    latency.plot(sizes, [one["random_ms"] for one in fleets], **_CHANCE.options, label="best share of calls")
    latency.plot(sizes, [one["static_ms"] for one in fleets], **_CHOSEN.options, label="best fixed choice")
    latency.plot(sizes, [one["mean_ms"] for one in fleets], **ours, label="collabd")
    load.plot(sizes, [one["load"] * 100 for one in fleets], **ours)
    offloaded.plot(sizes, [one["offloaded"] * 100 for one in fleets], **ours)
    style.logarithmic(offloaded, "x")
    offloaded.set_xlabel("devices")
    for each in axes:
        each.axvline(saturated_by, color=style.LINE, linewidth=0.8, linestyle=(0, (1, 3)))
    style.above(latency, "By the number of devices", columns=2)


def _over_time(axes: Sequence[Axes], fleet: FleetReport) -> None:
    latency, load, offloaded = axes
    windows = fleet["windows"]
    ends = (np.arange(len(windows["load"])) + 1) * windows["seconds"]
    latency.axhline(fleet["alone_ms"], **_ALONE.options, label="each device alone")
    latency.axhline(fleet["random_ms"], **_CHANCE.options, label="best share of calls")
    latency.axhline(fleet["static_ms"], **_CHOSEN.options, label="best fixed choice")
    latency.plot(ends, windows["latency_ms"], **_OURS.options, label="collabd")
    load.plot(ends, np.array(windows["load"]) * 100, **_OURS.options)
    offloaded.plot(ends, np.array(windows["offloaded"]) * 100, **_OURS.options)
    offloaded.set_xlabel("s")
    style.above(latency, f"{fleet['devices']:,} devices over time", columns=2)
