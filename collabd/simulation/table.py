"""`python -m collabd.simulation.table`: every package on every trace, as the table in docs/simulation.md."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.catalog.package import load as load_package
from collabd.simulation.compare import POLICIES, Scenario, compare
from collabd.simulation.profiles import profile_here, read_profile
from collabd.simulation.report import policy_reports
from collabd.simulation.traces import load as load_trace
from collabd.simulation.workload import Workload

_PAPERS = ("neurosurgeon", "dads")


@click.command()
@click.argument("packages", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--traces", required=True, type=click.Path(exists=True, path_type=Path), help="A folder of traces.")
@click.option("--profiles", type=click.Path(exists=True, path_type=Path), help="A folder of profiles, NAME.json.")
@click.option("--min-fidelity", type=float, default=0.99, show_default=True)
@click.option("--device-slowdown", type=float, default=8.0, show_default=True)
@click.option("--every-ms", type=float, default=250.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    packages: tuple[Path, ...],
    traces: Path,
    profiles: Path | None,
    min_fidelity: float,
    device_slowdown: float,
    every_ms: float,
    seed: int,
) -> None:
    """Mean latency in ms of each policy over one round of each trace, and collabd's ratios to the others."""
    _row("network", "trace", *POLICIES, "/ oracle", "/ best simple", "/ papers")
    _row("---", "---", *["--:"] * (len(POLICIES) + 3))
    for path in packages:
        package = load_package(path)
        name = package.manifest.name
        profile = profile_here(package) if profiles is None else read_profile(profiles / f"{name}.json", package)
        for file in sorted(file for file in traces.iterdir() if file.suffix != ".md"):
            trace = load_trace(file)
            requests = int(trace.duration_s * 1e3 / every_ms)
            workload = Workload(package, profile, slowdown=device_slowdown, requests=requests, seed=seed)
            scenario = Scenario(trace, every_ms / 1e3, None, min_fidelity)
            reports = policy_reports(compare(workload, scenario))
            ours = reports["collabd"]
            papers = ours["mean_ms"] / min(reports[paper]["mean_ms"] for paper in _PAPERS)
            ratios = (ours["vs_oracle"] or 0.0, ours["vs_best"] or 0.0, papers)
            means = (f"{reports[policy]['mean_ms']:.1f}" for policy in POLICIES)
            _row(name, file.stem, *means, *(f"{ratio:.3f}" for ratio in ratios))


def _row(*cells: str) -> None:
    click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
