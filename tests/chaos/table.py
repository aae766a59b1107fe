"""The report as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show(report: dict[str, Any], console: Console) -> None:
    """Print all of it."""
    calls = {"fallback local or never-leave": report["calls"], "fallback fail": report["calls_with_fallback_fail"]}
    console.print(_table("Calls", "", calls))
    console.print(
        _table("Agreement with the unsplit fp32 network, of calls whose plan was free", "", report["agreement"])
    )
    console.print(_table("Why degraded", "", {why: {"answers": n} for why, n in report["why_degraded"].items()}))
    console.print(_table("Deadlines by the client's clock", "class", report["deadlines"]))
    console.print("All that the device alone could keep (1.5 x p99 and 4 x p99):", report["keepable"])
    console.print(_table("The device alone, before any fault", "network", report["alone"]))
    console.print(_table("Faults", "", report["faults"] | {"no fault": report["no fault"]}))
    for kind, why in report["skipped"].items():
        console.print(f"Not done: {kind}: {why}")
    console.print("Open files before and after:", report["open_files"])


def _table(title: str, first: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    table.add_column(first)
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right", overflow="fold")
    for name, row in rows.items():
        table.add_row(name, *(_cell(row.get(column)) for column in columns))
    return table


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
