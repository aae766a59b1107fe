"""Reports as a busy device gives them."""

from __future__ import annotations

import copy
from typing import Any, cast

from collab_sdk.reports import ConditionReport, StatusReport, StreamReport
from collabd.ctl.top.glyphs import UNICODE, Glyphs
from collabd.ctl.top.page import Page
from tests.unit.ctl.conftest import MODEL, STATUS


def a_stream(model: str = "vgg16_cifar10", stream: str = "", **changes: Any) -> StreamReport:
    """One whose last call was split behind two of five layers."""
    parts: dict[str, Any] = {
        "kind": "split",
        "cut": "features.2",
        "head_layers": 2,
        "layers": 5,
        "codec": "q8",
        "precision": "fp32",
        "placement": "DDCCC",
        "cloud": "desktop",
        "predicted_ms": 40.2,
        "measured_ms": 41.5,
        "age_s": 0.4,
        "calls": 120,
        "kinds": {"split": 80, "local": 39},
        "failed": 1,
        "degraded": 2,
        "missed": 3,
        "bytes_up": 1_234_567,
        "bytes_down": 33_000,
        "energy_mj": 12_345.0,
        "cost": 0.00213,
        "fidelity": 0.9942,
        "fidelity_pictures": 812.4,
    }
    return cast("StreamReport", {"model": model, "stream": stream} | parts | changes)


STREAMS = [
    a_stream(),
    a_stream("selfie", kind="local", cut="output", placement="DDD", cloud=None, codec="none", fidelity_pictures=None),
    a_stream("nanodet_g", "front-door", kind="image", cut="image", placement="CCCC", codec="source", measured_ms=95.0),
    a_stream("nanodet_g", "yard", kind="inherited", cut="inherit", placement="", cloud=None, predicted_ms=None),
    a_stream("efficientnet_lite0", kind="little"),
]
LOST = ConditionReport(
    code="companion-lost",
    about="cluster",
    severity="warning",
    what="cluster has not answered",
    do="See whether collab-cloudd runs there: systemctl status collab-cloudd. Until then all calls run here.",
    since_s=75.0,
    behind=None,
)


def a_report(**changes: Any) -> StatusReport:
    """`STATUS` with streams and a condition."""
    report: dict[str, Any] = copy.deepcopy(STATUS) | {"streams": STREAMS, "health": [LOST], "models": [MODEL]} | changes
    return cast("StatusReport", report)


def a_page(report: StatusReport | None = None, glyphs: Glyphs = UNICODE, reports: int = 12) -> Page:
    """A page that has heard so many reports, one a second, in which calls come and the link changes."""
    page = Page(glyphs)
    for second in range(reports):
        heard = copy.deepcopy(report or a_report())
        heard["requests"]["total"] += 3 * second
        for stream in heard["streams"]:
            stream["calls"] += second
        if heard["clouds"]:
            heard["clouds"][0]["up_mbps"] = 2.5 * (second % 8)
        page.heard(heard, float(second))
    return page


def texts(page: Page, columns: int = 80, rows: int = 24, now: float = 11.0) -> list[str]:
    """The screen as text."""
    return [line.plain.rstrip() for line in page.lines(columns, rows, now)]
