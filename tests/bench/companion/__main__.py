"""Measure and print: `make bench-companion`. All ways take turns: what else the machine does slows all alike."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from collabd.limits.cores import usable_cores
from collabd.profiling.machine import describe
from tests.bench.companion.asks import Ask, asks
from tests.bench.companion.bare import Bare
from tests.bench.companion.load import ask_for
from tests.bench.companion.servers import Server, companion, plain
from tests.bench.table import table

_CLIENTS = (1, 8, 32)
_BATCH = 8
_GREEDY, _POLITE, _MANY = 40, 7, 128
_FAIR_S, _MANY_S = 10.0, 8.0
Figures = dict[str, float]


@click.command()
@click.option("--only", "only", multiple=True, type=click.Choice(["rates", "fairness", "many"]))
@click.option("--ask", "wanted", default="", help="Only the requests whose name has this in it.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--slice", "slice_s", default=2.0, show_default=True, help="Seconds of each way in a round.")
@click.option("--settings", default="", help="More of the companion's configuration, as TOML.")
@click.option("--out", default=Path("build/bench/companion.json"), type=click.Path(dir_okay=False, path_type=Path))
def main(*, only: tuple[str, ...], wanted: str, rounds: int, slice_s: float, settings: str, out: Path) -> None:
    """A companion under load on this machine, whose clients run beside it and take their share of the cores."""
    machine = describe()
    report: dict[str, Any] = {
        "machine": f"{usable_cores()} cores of {machine.cpu}, ONNX Runtime {machine.onnxruntime}",
        "load before": os.getloadavg()[0],
    }
    print(report["machine"], f"load {report['load before']:.1f}", flush=True)
    chosen, all_asks = only or ("rates", "fairness", "many"), [ask for ask in asks() if wanted in ask.name]
    packages = list(dict.fromkeys(ask.package.path for ask in all_asks))
    with (
        tempfile.TemporaryDirectory(prefix="collabd-bench-") as scratch,
        companion(Path(scratch), _MANY, settings) as (server, tokens),
    ):
        if "rates" in chosen:
            with plain(packages) as other:
                report["rates"] = {
                    ask.name: _rates(ask, server, tokens[0], other, rounds=rounds, slice_s=slice_s) for ask in all_asks
                }
        if "fairness" in chosen:
            report["fairness"] = {ask.name: _fairness(ask, server, tokens) for ask in all_asks}
        if "many" in chosen:
            report["many"] = {ask.name: _many(ask, server, tokens) for ask in all_asks}
        report["memory_mb"] = server.memory_mb()
    report["load after"] = os.getloadavg()[0]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    print(f"companion resident {report['memory_mb']:.0f} MB, load {report['load after']:.1f}; {out}")


def _rates(ask: Ask, server: Server, token: str, other: Server, *, rounds: int, slice_s: float) -> dict[str, Figures]:
    cores = usable_cores()
    ways: dict[str, Callable[[], Figures]] = {}
    for decodes in (False, True):
        for lanes in dict.fromkeys((1, cores)):
            bare = Bare(ask, lanes=lanes, cores=cores // lanes, batch=_BATCH, decodes=decodes)
            name = f"engine{' and decoding' if decodes else ''}, {lanes} x {cores // lanes} threads"
            ways[name] = lambda bare=bare: msgspec.structs.asdict(_Bare(**vars(bare.rate(slice_s))))  # type: ignore[misc]
    for clients in _CLIENTS:
        asked = [ask.message(token)] * clients
        ways[f"companion, {clients}"] = lambda asked=asked: _served(  # type: ignore[misc]
            server, asked, slice_s, ask.is_right
        )
        if ask.plain is not None:
            plainly = [ask.plain_message()] * clients
            ways[f"20 lines, {clients}"] = lambda plainly=plainly: _served(  # type: ignore[misc]
                other, plainly, slice_s, None
            )
    found: defaultdict[str, list[Figures]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, way in ways.items():
            figures = way()
            if number:  # the first round warms up
                found[name].append(figures)
    _print_rates(ask.name, found)
    return {name: _median(each) for name, each in found.items()} | {"ratios": _ratios(found)}


class _Bare(msgspec.Struct):
    per_s: float
    cpu_ms: float


def _served(server: Server, messages: Sequence[bytes], seconds: float, check: Any) -> Figures:
    began, cpu, own = time.perf_counter(), server.cpu_s(), time.process_time()
    each = asyncio.run(ask_for(server.port, messages, seconds, check))
    taken = time.perf_counter() - began
    latencies = [latency for one in each for latency in one.taken]
    if not latencies:
        return {"per_s": 0.0}
    return {
        "per_s": len(latencies) / taken,
        "cpu_ms": (server.cpu_s() - cpu) / len(latencies) * 1e3,
        "cores": (server.cpu_s() - cpu) / taken,
        "client_cores": (time.process_time() - own) / taken,
        "p50_ms": float(np.median(latencies)) * 1e3,
        "p95_ms": float(np.quantile(latencies, 0.95)) * 1e3,
        "refused": sum(one.refused for one in each),
        "wrong": sum(one.wrong for one in each),
    }


def _median(figures: Sequence[Figures]) -> Figures:
    return {name: float(np.median([each.get(name, 0.0) for each in figures])) for name in figures[0]}


def _ratios(found: dict[str, list[Figures]]) -> Figures:
    """Medians over the rounds of what was measured one after the other in each."""

    def ratio(of: str, to: Sequence[str], what: str) -> float:
        best = min if what == "cpu_ms" else max
        pairs = zip(found[of], zip(*(found[name] for name in to), strict=True), strict=True)
        return float(np.median([one[what] / best(other[what] for other in others) for one, others in pairs]))

    bare = [name for name in found if name.startswith("engine,")]
    decoding = [name for name in found if name.startswith("engine and")]
    ratios = {}
    for clients in _CLIENTS[1:]:
        name = f"companion, {clients}"
        ratios[f"{name}: requests/s by the engine's"] = ratio(name, bare, "per_s")
        ratios[f"{name}: requests/s by the engine's and decoding"] = ratio(name, decoding, "per_s")
        ratios[f"{name}: CPU by the engine's"] = ratio(name, bare, "cpu_ms")
        ratios[f"{name}: CPU by the engine's and decoding"] = ratio(name, decoding, "cpu_ms")
    for clients in _CLIENTS:
        if f"20 lines, {clients}" in found:
            what = "p50_ms" if clients == 1 else "per_s"
            of, to = f"companion, {clients}", [f"20 lines, {clients}"]
            ratios[f"{of}: {what} by that of 20 lines"] = ratio(of, to, what)
            ratios[f"{of}: CPU by that of 20 lines"] = ratio(of, to, "cpu_ms")
    return ratios


def _print_rates(name: str, found: dict[str, list[Figures]]) -> None:
    columns = ("per_s", "cpu_ms", "cores", "client_cores", "p50_ms", "p95_ms", "wrong")
    rows = [
        (way, *(f"{figures[column]:.2f}" if column in figures else "" for column in columns))
        for way, figures in ((way, _median(each)) for way, each in found.items())
    ]
    print(f"\n{table((name, *columns), rows)}\n")
    for what, ratio in _ratios(found).items():
        print(f"  {what}: {ratio:.2f}", flush=True)


def _fairness(ask: Ask, server: Server, tokens: Sequence[str]) -> Figures:
    """Eight devices, of which one asks over 40 connections."""
    greedy, *others = tokens[: _POLITE + 1]
    messages = [ask.message(greedy)] * _GREEDY + [ask.message(token) for token in others]
    each = asyncio.run(ask_for(server.port, messages, _FAIR_S, ask.is_right))
    polite = [latency for one in each[_GREEDY:] for latency in one.taken]
    per_s = sum(len(one.taken) for one in each) / _FAIR_S
    found = {
        "per_s": per_s,
        "polite_p50_ms": float(np.median(polite)) * 1e3,
        "fair_ms": (_POLITE + 1) / per_s * 1e3,
        "wrong": sum(one.wrong for one in each),
    }
    found["by_fair"] = found["polite_p50_ms"] / found["fair_ms"]
    print(f"{ask.name}, 8 devices, one over {_GREEDY} connections: {_told(found)}", flush=True)
    return found


def _many(ask: Ask, server: Server, tokens: Sequence[str]) -> Figures:
    """More devices than places, all of which come again when they are told to."""
    messages = [ask.message(token) for token in tokens[:_MANY]]
    each = asyncio.run(ask_for(server.port, messages, _MANY_S, ask.is_right))
    taken = [latency for one in each for latency in one.taken]
    found = {
        "per_s": len(taken) / _MANY_S,
        "unanswered": sum(not one.taken for one in each),
        "least": min(len(one.taken) for one in each),
        "most": max(len(one.taken) for one in each),
        "p50_ms": float(np.median(taken)) * 1e3,
        "longest_ms": max(taken) * 1e3,
        "refused": sum(one.refused for one in each),
        "wrong": sum(one.wrong for one in each),
    }
    print(f"{ask.name}, {_MANY} devices for {_MANY_S:g} s: {_told(found)}", flush=True)
    return found


def _told(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


if __name__ == "__main__":
    main()
