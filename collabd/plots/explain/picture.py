"""Which of the two pictures a report gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collab_sdk.errors import InvalidRequest
from collabd.plots import style
from collabd.plots.explain import calls, candidates

if TYPE_CHECKING:
    from collab_sdk.reports import ExplainReport


def plot(report: ExplainReport, path: Path) -> None:
    """Write it, as PNG or SVG by the file's ending: the candidates of one decision, or several calls.

    Raises `InvalidRequest` if there was no call yet.
    """
    decisions = report["decisions"]
    if not decisions:
        raise InvalidRequest("there is nothing to draw: no call has come yet")
    if len(decisions) == 1 and decisions[0]["candidates"]:
        panels = candidates.panels_of(decisions[0])
        with style.picture(path, (11.0, 1.9 + 2.5 * len(panels))) as figure:
            candidates.draw(figure, decisions[0])
    else:
        models = calls.by_model(decisions)
        with style.picture(path, (11.0, 1.3 + max(2.4 * len(models), 3.0))) as figure:
            calls.draw(figure, models)
