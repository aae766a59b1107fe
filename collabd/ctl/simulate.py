"""`collabctl simulate`: how collabd and other policies would have done on a recorded link, without a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collabd.ctl import figures
from collabd.ctl.command import Command
from collabd.ctl.output import emit, fields, json_option, table

if TYPE_CHECKING:
    from collabd.config import DeviceConfig
    from collabd.ctl.tables import Table
    from collabd.simulation.report import SimulationReport
    from collabd.simulation.traces import Trace
    from collabd.simulation.world import Outcome

POLICIES = {
    "local": "run all on the device",
    "remote_raw": "always send the image's pixels to the companion",
    "remote_jpeg": "always send the image as JPEG to the companion",
    "static": "use the single plan that is best in hindsight",
    "neurosurgeon": "cut a chain by the last measured bandwidth, with features in fp32",
    "dads": "do the same on a graph, by its minimum cut",
    "collabd": "plan as collabd does",
    "oracle": "for each request, use the plan that will be fastest, knowing the future",
}
_EPILOG = "\n".join(["\b", "Policies:", *(f"  {name:<13} {meaning}" for name, meaning in POLICIES.items())])


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--model", required=True, metavar="DIR", help="The directory of a model package.")
@click.option(
    "--trace",
    "trace_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The record of the link: mahimahi, or JSON or CSV of duration_ms, bandwidth_kbps, latency_ms. It repeats.",
)
@click.option(
    "--device-slowdown",
    type=click.FloatRange(min=1),
    default=8.0,
    show_default=True,
    help="How many times slower than this machine the device is; the companion is as fast as this machine.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice(list(POLICIES)),
    help="Run only this policy; you can give several.",
)
@click.option(
    "--requests", type=click.IntRange(min=1), help="How many requests to run (default: one round of the trace)."
)
@click.option(
    "--every-ms",
    type=click.FloatRange(min=0, min_open=True),
    default=250.0,
    show_default=True,
    help="Time from one request to the next; a request also waits until the one before is answered.",
)
@click.option("--rtt-ms", type=click.FloatRange(min=0), help="Round trip (default: from the trace, else 20).")
@click.option(
    "--min-fidelity",
    type=click.FloatRange(0, 1),
    default=0.99,
    show_default=True,
    help="The least fidelity of lossy plans.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise in times and sizes.")
@click.option(
    "--profile",
    "profile_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Times of the package, as JSON (default: measure them once on this machine, and keep them).",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A collabd.toml with collabd's settings (default: all defaults).",
)
@click.option(
    "--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw the results into this PNG file."
)
@json_option
def simulate(
    model: str,
    *,
    trace_file: Path,
    device_slowdown: float,
    policies: tuple[str, ...],
    requests: int | None,
    every_ms: float,
    rtt_ms: float | None,
    min_fidelity: float,
    seed: int,
    profile_file: Path | None,
    config_file: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Replay a link trace, and compare how collabd and other policies do on it.

    The daemon's own planner, executor and watcher run under a virtual clock. Requests are frames of a camera; the
    trace is the link in both directions. Needs no daemon.
    """
    from collabd.catalog.package.package import load
    from collabd.simulation.compare import Scenario, compare, possible
    from collabd.simulation.profiles import profile_here, read_profile
    from collabd.simulation.report import SimulationReport, policy_reports
    from collabd.simulation.workload import Workload

    trace = _trace(trace_file)
    package = load(Path(model))
    profile = profile_here(package) if profile_file is None else read_profile(profile_file, package)
    count = requests or max(int(trace.duration_s * 1e3 / every_ms), 1)
    workload = Workload(package, profile, slowdown=device_slowdown, requests=count, seed=seed)
    rtt_s = None if rtt_ms is None else rtt_ms / 1e3
    scenario = Scenario(
        trace=trace, every_s=every_ms / 1e3, rtt_s=rtt_s, min_fidelity=min_fidelity, config=_settings(config_file)
    )
    runs = compare(workload, scenario, policies or possible(workload))
    report = SimulationReport(
        model=package.manifest.name,
        trace=trace_file.name,
        requests=count,
        every_ms=every_ms,
        rtt_ms=rtt_ms,
        device_slowdown=device_slowdown,
        min_fidelity=min_fidelity,
        seed=seed,
        device_ms=profile.whole_ms * device_slowdown,
        cloud_ms=profile.whole_ms,
        policies=policy_reports(runs),
    )
    if picture is not None:
        _draw(runs, trace, title=f"{package.manifest.name} on {trace_file.name}", path=picture)
    emit(report, _render, as_json=as_json)


def _trace(path: Path) -> Trace:
    from collab_sdk.errors import InvalidRequest
    from collabd.simulation.traces import TraceError, load

    try:
        trace = load(path)
    except TraceError as error:
        raise InvalidRequest(f"{path}: {error}") from error
    if not any(step.rate for step in trace.steps):
        raise InvalidRequest(f"{path}: this link lets nothing through")
    return trace


def _settings(path: Path | None) -> DeviceConfig:
    from collab_sdk.errors import InvalidRequest
    from collabd.config import ConfigError, DeviceConfig, load

    try:
        return load(DeviceConfig, path).config
    except ConfigError as error:
        raise InvalidRequest("; ".join(str(error).splitlines())) from error


def _draw(runs: dict[str, list[Outcome]], trace: Trace, *, title: str, path: Path) -> None:
    from collab_sdk.errors import InvalidRequest
    from collabd.simulation.plot import plot

    try:
        plot(runs, trace, path, title=title)
    except ModuleNotFoundError as error:
        raise InvalidRequest(f"--plot needs {error.name}: pip install 'collabd[plot]'") from error
    except ValueError as error:
        raise InvalidRequest(f"{path}: {error}") from error


def _render(report: SimulationReport) -> Iterator[Table]:
    rtt = "from the trace, else 20 ms" if report["rtt_ms"] is None else f"{report['rtt_ms']:g} ms"
    yield fields(
        {
            "model": f"{report['model']}: {figures.number(report['device_ms'])} ms on the device "
            f"({report['device_slowdown']:g}x slowed down), {figures.number(report['cloud_ms'])} ms on the companion",
            "link": f"{report['trace']}, round trip {rtt}",
            "requests": f"{report['requests']}, one every {report['every_ms']:g} ms, fidelity at least "
            f"{figures.share(report['min_fidelity'])}, seed {report['seed']}",
        }
    )
    built = table(
        "policy",
        *(">mean ms", ">p50 ms", ">p95 ms", ">x oracle", ">x best simple", ">bytes", ">mJ", ">fidelity"),
        *(">local", ">hedged", ">late", "plan most taken"),
        spare=("late", "hedged", "local", "mJ", "bytes", "fidelity", "p50 ms"),
        long_last=True,
    )
    for name, one in report["policies"].items():
        ratios = [figures.UNKNOWN if value is None else f"{value:.3f}" for value in (one["vs_oracle"], one["vs_best"])]
        built.add_row(
            name,
            *(figures.number(one[key]) for key in ("mean_ms", "p50_ms", "p95_ms")),
            *ratios,
            figures.size(round(one["bytes"])),
            figures.number(one["energy_mj"]),
            figures.share(one["fidelity"]),
            *(str(one[key]) for key in ("local", "hedged", "late")),
            f"{one['plan']} ({figures.share(one['plan_count'] / report['requests'])})",
        )
    yield built
