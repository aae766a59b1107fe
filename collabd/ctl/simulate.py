"""`collabctl simulate`: how collabd and other policies would have done on a recorded link, without a daemon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collabd.ctl import figures
from collabd.ctl.command import Command
from collabd.ctl.fleet import fleet_options, simulate_fleets
from collabd.ctl.output import emit, fields, json_option, table
from collabd.ctl.picture import check, plot_option

if TYPE_CHECKING:
    from collabd.catalog.package.package import Package
    from collabd.config import DeviceConfig
    from collabd.ctl.tables import Table
    from collabd.simulation.answers import Answers
    from collabd.simulation.little import SimulatedLittle
    from collabd.simulation.pictures import SimulatedCamera
    from collabd.simulation.realised import RealisedFidelity
    from collabd.simulation.report import SimulationReport
    from collabd.simulation.traces import Trace

POLICIES = {
    "local": "run all on the device",
    "local_int8": "run all on the device, in 8-bit integers",
    "remote_raw": "always send the image's pixels to the companion",
    "remote_jpeg": "always send the image as JPEG to the companion",
    "static": "use the single plan that is best in hindsight",
    "neurosurgeon": "cut a chain by the last measured bandwidth, with features in fp32",
    "dads": "do the same on a graph, by its minimum cut",
    "collabd": "plan as collabd does",
    "oracle": "for each request, use the plan that will be fastest, knowing the future",
}
_STEADY_REQUESTS = 1000
KINDS = {
    "jpeg": "send the image as JPEG",
    "split": "cut inside the network",
    "int8": "run parts of the network in 8-bit integers",
    "cascade": "let a little network answer where it is sure",
    "inherit": "let the last answer of a camera that has not moved serve again (collabd alone)",
}
_EPILOG = "\n\n".join(
    "\n".join(["\b", heading, *(f"  {name:<13} {meaning}" for name, meaning in meanings.items())])
    for heading, meanings in (("Policies:", POLICIES), ("Kinds of plans:", KINDS))
)


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--model", required=True, metavar="DIR", help="The directory of a model package.")
@click.option(
    "--trace",
    "trace_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The record of the link: mahimahi, or JSON or CSV of duration_ms, bandwidth_kbps, latency_ms. It repeats. "
    "With --devices you can give several.",
)
@click.option("--mbit-s", type=click.FloatRange(min=0, min_open=True), help="A steady link, in place of a trace.")
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
    "--requests",
    type=click.IntRange(min=1),
    help=f"How many requests to run (default: one round of the trace; {_STEADY_REQUESTS} on a steady link).",
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
@click.option(
    "--pictures",
    "pictures_path",
    type=click.Path(exists=True, path_type=Path),
    help="A folder or zip of images that the package was not made with: tells the fidelity that answers really have.",
)
@click.option(
    "--little",
    "little_path",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The package that MODEL is paired with (with --pictures).",
)
@click.option(
    "--parked",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="The share of frames that show what the frame before showed, with the noise of a sensor.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(list(KINDS)),
    help="Leave this kind of plans out of static, collabd and oracle; you can give several.",
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
@fleet_options
@plot_option
@json_option
def simulate(
    model: str,
    *,
    trace_files: tuple[Path, ...],
    mbit_s: float | None,
    device_slowdown: float,
    policies: tuple[str, ...],
    requests: int | None,
    every_ms: float,
    rtt_ms: float | None,
    min_fidelity: float,
    pictures_path: Path | None,
    little_path: Path | None,
    parked: float,
    without: tuple[str, ...],
    seed: int,
    profile_file: Path | None,
    config_file: Path | None,
    devices: tuple[int, ...],
    companions: int,
    saturated_by: int,
    duration_s: float,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Replay a link trace, and compare how collabd and other policies do on it.

    The daemon's own planner, executor and watcher run under a virtual clock. Requests are frames of a camera; the
    trace is the link in both directions. Needs no daemon.

    With --devices a whole fleet runs, with companions that have queues, batches and room for only so many. What it
    gets is compared with the best share of devices that is fixed beforehand.
    """
    from collabd.catalog.package.package import load
    from collabd.simulation.compare import Scenario, compare
    from collabd.simulation.fleet.scenario import FleetScenario
    from collabd.simulation.profiles import profile_here, read_profile
    from collabd.simulation.realised import Judge
    from collabd.simulation.report import SimulationReport, policy_reports
    from collabd.simulation.shown import Shown
    from collabd.simulation.workload import Workload

    check(picture)
    links = _links(trace_files, mbit_s)
    package = load(Path(model))
    profile = profile_here(package) if profile_file is None else read_profile(profile_file, package)
    rtt_s = None if rtt_ms is None else rtt_ms / 1e3
    if devices:
        fleet = FleetScenario(
            package=package,
            profile=profile,
            traces=[*links.values()],
            devices=max(devices),
            companions=companions,
            saturated_by=saturated_by,
            every_s=every_ms / 1e3,
            duration_s=duration_s,
            slowdown=device_slowdown,
            rtt_s=rtt_s,
            seed=seed,
            config=_with_fidelity(_settings(config_file), min_fidelity),
        )
        simulate_fleets(fleet, devices, links=[*links], picture=picture, as_json=as_json)
        return
    if len(links) > 1:
        raise click.UsageError("one --trace, please: only a fleet (--devices) has several links")
    ((link, trace),) = links.items()
    round_requests = max(int(trace.duration_s * 1e3 / every_ms), 1) if trace.repeat else _STEADY_REQUESTS
    count = requests or round_requests
    seen = None if pictures_path is None else _seen(package, pictures_path, requests=count, parked=parked, seed=seed)
    little = None if seen is None or little_path is None else _little(package, little_path, seen[0])
    workload = Workload(
        package,
        profile,
        slowdown=device_slowdown,
        requests=count,
        seed=seed,
        without=without,
        shown=None if seen is None else Shown(*seen, little),
    )
    judge = None if seen is None else Judge(package.manifest, seen[0], answers=seen[1], little=little)
    scenario = Scenario(
        trace=trace, every_s=every_ms / 1e3, rtt_s=rtt_s, min_fidelity=min_fidelity, config=_settings(config_file)
    )
    runs = compare(workload, scenario, policies)
    report = SimulationReport(
        model=package.manifest.name,
        trace=link,
        requests=count,
        every_ms=every_ms,
        rtt_ms=rtt_ms,
        device_slowdown=device_slowdown,
        min_fidelity=min_fidelity,
        seed=seed,
        pictures=None if pictures_path is None else pictures_path.name,
        distinct=None if judge is None else judge.pictures,
        parked=parked,
        without=list(without),
        device_ms=profile.whole_ms * device_slowdown,
        cloud_ms=profile.whole_ms,
        policies=policy_reports(runs) if judge is None else policy_reports(runs, judge.realised),
    )
    if picture is not None:
        from collabd.plots.simulation import plot

        plot(runs, trace, picture, title=f"{package.manifest.name} on {link}")
    emit(report, _render, as_json=as_json)


def _links(trace_files: Sequence[Path], mbit_s: float | None) -> dict[str, Trace]:
    """The links by name."""
    from collabd.simulation.traces import Trace

    if trace_files and mbit_s is None:
        return {path.name: _trace(path) for path in trace_files}
    if mbit_s is not None and not trace_files:
        return {f"{mbit_s:g} Mbit/s": Trace.constant(mbit_s * 1e6 / 8)}
    raise click.UsageError("give --trace or --mbit-s")


def _seen(package: Package, path: Path, *, requests: int, parked: float, seed: int) -> tuple[SimulatedCamera, Answers]:
    from collabd.simulation.answers import Answers
    from collabd.simulation.pictures import SimulatedCamera, read_pictures

    pictures = read_pictures(path, package.manifest.require_picture())
    return SimulatedCamera(pictures, requests=requests, parked=parked, seed=seed), Answers(package, pictures)


def _little(big: Package, path: Path, camera: SimulatedCamera) -> SimulatedLittle:
    from collabd.catalog.package.package import load
    from collabd.simulation.little import SimulatedLittle
    from collabd.simulation.profiles import profile_here

    package = load(path)
    return SimulatedLittle(big.manifest, package, profile=profile_here(package), pictures=camera.pictures)


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


def _with_fidelity(settings: DeviceConfig, min_fidelity: float) -> DeviceConfig:
    import msgspec

    planning = msgspec.structs.replace(settings.planning, min_fidelity=min_fidelity)
    return msgspec.structs.replace(settings, planning=planning)


def _render(report: SimulationReport) -> Iterator[Table]:
    rtt = "from the trace, else 20 ms" if report["rtt_ms"] is None else f"{report['rtt_ms']:g} ms"
    shown = {
        "model": f"{report['model']}: {figures.number(report['device_ms'])} ms on the device "
        f"({report['device_slowdown']:g}x slowed down), {figures.number(report['cloud_ms'])} ms on the companion",
        "link": f"{report['trace']}, round trip {rtt}",
        "requests": f"{report['requests']}, one every {report['every_ms']:g} ms, fidelity at least "
        f"{figures.share(report['min_fidelity'])}, seed {report['seed']}",
    }
    if report["pictures"] is not None:
        shown["pictures"] = f"{report['pictures']} ({report['distinct']}), parked {figures.share(report['parked'])}"
    if report["without"]:
        shown["without"] = ", ".join(report["without"])
    yield fields(shown)
    built = table(
        "policy",
        *(
            ">mean ms",
            ">p50 ms",
            ">p95 ms",
            ">x oracle",
            ">x best simple",
            ">x plain",
            ">bytes",
            ">mJ",
            ">fidelity",
            ">realised",
        ),
        *(">local", ">hedged", ">late", ">little", ">inherited", "plan most taken"),
        spare=("inherited", "little", "late", "hedged", "local", "mJ", "bytes", "fidelity", "p50 ms", "realised"),
        long_last=True,
    )
    for name, one in report["policies"].items():
        against = (one["vs_oracle"], one["vs_best"], one["vs_plain"])
        ratios = [figures.UNKNOWN if value is None else f"{value:.3f}" for value in against]
        built.add_row(
            name,
            *(figures.number(one[key]) for key in ("mean_ms", "p50_ms", "p95_ms")),
            *ratios,
            figures.size(round(one["bytes"])),
            figures.number(one["energy_mj"]),
            figures.share(one["fidelity"]),
            _realised(one["realised"]),
            *(str(one[key]) for key in ("local", "hedged", "late", "little", "inherited")),
            f"{one['plan']} ({figures.share(one['plan_count'] / report['requests'])})",
        )
    yield built


def _realised(found: RealisedFidelity | None) -> str:
    """The mean, and behind it the least."""
    return figures.UNKNOWN if found is None else f"{figures.share(found['mean'])} ({figures.share(found['least'])})"
