"""The whole picture: latency by cut, bytes by cut, and latency against fidelity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collab_sdk.budget import Budget
from collabd.plots import style
from collabd.plots.best import best_at_cuts
from collabd.plots.profile import bars, front, sizes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from collab_sdk.reports import ProfileReport

# Inches.
_WIDTH, _FRONT, _LEAST, _A_CUT = 12.0, 3.8, 2.6, 0.25


def plot(report: ProfileReport, path: Path) -> None:
    """Write it, as PNG or SVG by the file's ending."""
    rows = best_at_cuts(report)
    with style.picture(path, (_WIDTH, _FRONT + max(_LEAST, 1.6 + _A_CUT * len(rows)))) as figure:
        draw(figure, report)


def draw(figure: Figure, report: ProfileReport) -> None:
    """Draw it into an empty figure. The panels are labelled "latency", "bytes" and "front"."""
    rows, budget = best_at_cuts(report), Budget.parse(report["budget"])
    above = max(_LEAST, 1.6 + _A_CUT * len(rows))
    panels = figure.subplot_mosaic(
        [["latency", "bytes"], ["front", "front"]],
        width_ratios=(2.6, 1.0),
        height_ratios=(above, _FRONT),
    )
    figure.suptitle(_heading(report), x=0.01, ha="left", fontweight="bold")
    style.caption(figure, _caption(report))
    bars.draw(panels["latency"], rows, cap_ms=budget.latency_ms)
    sizes.draw(panels["bytes"], report["rows"], rows)
    front.draw(panels["front"], report, cap_ms=budget.latency_ms)


def _heading(report: ProfileReport) -> str:
    link = report["link"]
    now = "no companion"
    if report["cloud"] is not None:
        measured = link is not None and link["up_mbps"] is not None and link["rtt_ms"] is not None
        now = f"{report['cloud']}, " + (
            f"{link['up_mbps']:.3g} Mbit/s up, {link['rtt_ms']:.3g} ms there and back"
            if link is not None and measured
            else "the link not measured yet"
        )
    return f"{report['model']} here and on {now}; budget: {report['budget'] or 'no caps'}"


def _caption(report: ProfileReport) -> str:
    return (
        "Predicted for the link and the load of now, for a picture of the network's own size. Above: of each cut the "
        "best of its codecs, precisions and little networks, named beside its bar; pale: it breaks a cap or cannot be. "
        "A bar is the whole way of a call; less is to be expected where the device, which computes too, or a little "
        "network is done first. Below: every plan. A cap on latency is held against what nearly all calls stay under, "
        f"so a plan before the line may break it. Fidelity: {report['measure']}."
    )
