"""`python -m collabd.simulation.table` runs every package on every trace, and prints tables for docs/simulation.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec

from collabd import config
from collabd.catalog.package.package import load as load_package
from collabd.config import DeviceConfig
from collabd.simulation.compare import POLICIES, Scenario, compare
from collabd.simulation.kinds import KINDS
from collabd.simulation.profiles import profile_here, read_profile
from collabd.simulation.report import PolicyReport, policy_reports
from collabd.simulation.traces import load as load_trace
from collabd.simulation.workload import Workload

_PAPERS = ("neurosurgeon", "dads")
# At this price the device starts the tail only when the answer is as good as lost.
_NO_HEDGING = 100.0


@dataclass(frozen=True, kw_only=True)
class _TableRow:
    network: str
    trace: str
    requests: int
    reports: Mapping[str, PolicyReport]
    # The results of collabd when the device starts no tail before the answer is as good as lost.
    unhedged: PolicyReport


@click.command()
@click.argument("packages", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--traces", required=True, type=click.Path(exists=True, path_type=Path), help="A folder of traces.")
@click.option("--profiles", type=click.Path(exists=True, path_type=Path), help="A folder of profiles, NAME.json.")
@click.option("--config", "config_file", type=click.Path(exists=True, path_type=Path), help="A collabd.toml.")
@click.option("--min-fidelity", type=float, default=0.99, show_default=True)
@click.option("--device-slowdown", type=float, default=8.0, show_default=True)
@click.option("--every-ms", type=float, default=250.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--without", multiple=True, type=click.Choice(list(KINDS)), help="Leave out this kind of plans.")
def main(
    *,
    packages: tuple[Path, ...],
    traces: Path,
    profiles: Path | None,
    config_file: Path | None,
    min_fidelity: float,
    device_slowdown: float,
    every_ms: float,
    seed: int,
    without: tuple[str, ...],
) -> None:
    """Print mean latencies in ms and ratios of collabd, over one round of each trace; then the energy of the device."""
    settings = config.load(DeviceConfig, config_file).config
    rows = []
    for path in packages:
        package = load_package(path)
        name = package.manifest.name
        profile = profile_here(package) if profiles is None else read_profile(profiles / f"{name}.json", package)
        for file in sorted(file for file in traces.iterdir() if file.suffix != ".md"):
            trace = load_trace(file)
            requests = int(trace.duration_s * 1e3 / every_ms)
            workload = Workload(
                package, profile, slowdown=device_slowdown, requests=requests, seed=seed, without=without
            )
            scenario = Scenario(
                trace=trace, every_s=every_ms / 1e3, rtt_s=None, min_fidelity=min_fidelity, config=settings
            )
            rows.append(_row(file.stem, workload, scenario))
    _print(_latencies(rows))
    click.echo()
    _print(_spendings(rows))


def _row(trace: str, workload: Workload, scenario: Scenario) -> _TableRow:
    failover = msgspec.structs.replace(scenario.config.failover, hedge_price=_NO_HEDGING)
    without = replace(scenario, config=msgspec.structs.replace(scenario.config, failover=failover))
    runs = compare(workload, scenario)
    others = {**runs, **compare(workload, without, ["collabd"])}
    return _TableRow(
        network=workload.package.manifest.name,
        trace=trace,
        requests=len(workload),
        reports=policy_reports(runs),
        unhedged=policy_reports(others)["collabd"],
    )


def _latencies(rows: list[_TableRow]) -> Iterator[tuple[str, ...]]:
    yield ("network", "trace", *POLICIES, "/ oracle", "/ best simple", "/ papers")
    for row in rows:
        reports, ours = row.reports, row.reports["collabd"]
        papers = ours["mean_ms"] / min(reports[paper]["mean_ms"] for paper in _PAPERS)
        ratios = (ours["vs_oracle"] or 0.0, ours["vs_best"] or 0.0, papers)
        means = (f"{reports[policy]['mean_ms']:.1f}" if policy in reports else "–" for policy in POLICIES)
        yield row.network, row.trace, *means, *(f"{ratio:.3f}" for ratio in ratios)


def _spendings(rows: list[_TableRow]) -> Iterator[tuple[str, ...]]:
    yield (
        *("network", "trace", "local mJ", "static mJ", "oracle mJ", "collabd mJ", "hedged", "device first"),
        *("unhedged mJ", "unhedged ms", "/ oracle", "/ best simple"),
    )
    for row in rows:
        ours, without = row.reports["collabd"], row.unhedged
        spent = (f"{row.reports[policy]['energy_mj']:.0f}" for policy in ("local", "static", "oracle", "collabd"))
        shares = (f"{ours[key] / row.requests:.0%}" for key in ("hedged", "late"))
        unhedged = f"{without['energy_mj']:.0f}", f"{without['mean_ms']:.1f}"
        ratios = (without["vs_oracle"] or 0.0, without["vs_best"] or 0.0)
        yield row.network, row.trace, *spent, *shares, *unhedged, *(f"{ratio:.3f}" for ratio in ratios)


def _print(rows: Iterator[tuple[str, ...]]) -> None:
    heading = next(rows)
    for cells in (heading, ["---", "---", *["--:"] * (len(heading) - 2)], *rows):
        click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
