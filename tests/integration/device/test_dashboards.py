"""What is shipped for Grafana and Prometheus asks only for metrics that running daemons have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.integration.device.conftest import Factory
from tests.integration.device.test_oip_door import door

PACKAGING = Path(__file__).parents[3] / "packaging"
DASHBOARD = PACKAGING / "grafana" / "collabd.json"
RULES = PACKAGING / "prometheus" / "collabd.rules.yml"
ROWS = ["Rate, errors, duration", "Plans", "Link", "Energy and the machine", "Fidelity", "Companions"]
_METRIC = re.compile(r"\bcollab(?:d|_cloud)_[a-z_]+\b")
_FAMILY = re.compile(r"^# TYPE (\S+) (\w+)$", re.MULTILINE)
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries(text: str) -> set[str]:
    """The names of metrics in the text, but for those of files and alerts."""
    return set(_METRIC.findall(text))


def names(metrics: str) -> set[str]:
    """The names of all series that there can be."""
    return {f"{name}{suffix}" for name, kind in _FAMILY.findall(metrics) for suffix in _SUFFIXES.get(kind, ("",))}


async def test_every_metric_exists(bench: Factory, tiny_images: list[np.ndarray]) -> None:
    dashboard = {
        query for panel in panels() for target in panel.get("targets", ()) for query in queries(target["expr"])
    }
    rules = queries("".join(re.findall(r"expr: (?:>-\n)?(.*(?:\n {10}.*)*)", RULES.read_text())))
    assert len(dashboard) > 20
    assert len(rules) > 10
    settings, url = door()
    async with bench(settings) as it, ClientSession() as session:
        await it.client.infer(tiny_images[0])
        cloud = (await it.client.status())["clouds"][0]["url"]
        told = [await (await session.get(f"{where}/metrics")).text() for where in (url, cloud)]
    assert sorted((dashboard | rules) - names("\n".join(told))) == []


def test_the_dashboard_can_be_imported_anywhere() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert [each["name"] for each in dashboard["__inputs"]] == ["DS_PROMETHEUS"]
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "job", "instance"]
    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == ROWS
    shown = [panel for panel in panels() if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in shown:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert 'job=~"$job",instance=~"$instance"' in target["expr"]
            assert target["expr"].count("(") == target["expr"].count(")")


def test_every_alert_says_what_to_do() -> None:
    text = RULES.read_text()
    alerts = text.count("- alert: ")
    assert alerts > 8
    for key in ("expr: ", "for: ", "summary: ", "description: ", "severity: "):
        assert text.count(key) == alerts


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_takes_the_rules_and_the_queries(tmp_path: Path) -> None:
    rules = [f"  - record: a:b{i}\n    expr: {json.dumps(expr)}\n" for i, expr in enumerate(_expressions())]
    as_rules = tmp_path / "queries.yml"
    as_rules.write_text(f"groups:\n- name: queries\n  rules:\n{''.join(rules)}")
    for path in (RULES, as_rules):
        checked = subprocess.run(
            ["promtool", "check", "rules", str(path)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def _expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [each.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*") for each in found]
