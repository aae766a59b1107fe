"""`python -m tests.bench.pairs --pictures held-out.zip`: what the pair of the box gains on what needs no planner.

It simulates (docs/simulation.md) VGG16 for CIFAR-10, paired with AlexNet, over steady links, and prints the tables of
that page. `--int8-gain 1.6`: as on a device where every part in int8 takes its time in fp32 divided by 1.6; else int8
takes what it takes here. The times are CPU times of one thread, so other work on this machine hardly changes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import msgspec

from collabd.catalog.package.package import Package, load
from collabd.profiling.profile import CutTimes, Profile, VariantTimes
from collabd.simulation.answers import Answers
from collabd.simulation.compare import Scenario, compare
from collabd.simulation.little import SimulatedLittle
from collabd.simulation.pictures import ShownPictures, SimulatedCamera, read_pictures
from collabd.simulation.realised import Judge
from collabd.simulation.report import PLAIN, PolicyReport, policy_reports
from collabd.simulation.shown import Shown
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Workload
from tests.bench.shipped import MODELS
from tests.cpu_times import cpu_times

__all__ = ["main"]

_BIG, _LITTLE = "vgg16_cifar10", "alexnet_cifar10"
_RTTS_MS, _MBIT = (20.0, 50.0), (1.0, 5.0, 20.0)
# What collabd may not use, and what the column is called. No answer is inherited: the pictures are all different.
_VARIANTS: Mapping[str, tuple[str, ...]] = {
    "collabd": (),
    "without int8": ("int8",),
    "without cascade": ("cascade",),
}
_EVERY_S = 0.25


@dataclass(frozen=True)
class _Pair:
    big: Package
    little: Package
    big_times: Profile
    little_times: Profile

    @classmethod
    def measured(cls, gain: float | None) -> _Pair:
        packages = [load(MODELS / name / "package") for name in (_BIG, _LITTLE)]
        big, little = (_with_gain(cpu_times(each), gain) for each in packages)
        return cls(packages[0], packages[1], big, little)

    def __str__(self) -> str:
        told = (f"{each.whole_ms:.2f} and {each.whole_int8_ms:.2f}" for each in (self.big_times, self.little_times))
        return "{} ms for {}, {} ms for {}, in fp32 and in int8".format(
            *(part for pair in zip(told, (_BIG, _LITTLE), strict=True) for part in pair)
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pairs", description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="what python -m models.held_out writes")
    parser.add_argument("--int8-gain", type=float, help="how many times as fast as fp32 int8 is (else: as here)")
    parser.add_argument("--device-slowdown", type=float, default=8.0)
    parser.add_argument("--requests", type=int, default=1000)
    given = parser.parse_args(arguments)
    pair = _Pair.measured(given.int8_gain)
    print(f"Here: {pair}. The device takes {given.device_slowdown:g} times as long.\n")
    pictures = read_pictures(given.pictures, pair.big.manifest.require_picture())
    _rows(pair, pictures, given)


def _rows(pair: _Pair, pictures: ShownPictures, given: argparse.Namespace) -> None:
    camera = SimulatedCamera(pictures, requests=given.requests, parked=0.0, seed=0)
    answers = Answers(pair.big, pictures)
    little = SimulatedLittle(pair.big.manifest, pair.little, profile=pair.little_times, pictures=pictures)
    judge = Judge(pair.big.manifest, camera, answers=answers, little=little)
    headings = ("round trip, link", *PLAIN, *_VARIANTS, "/ best plain", "oracle / best plain", "plan, little answers")
    _print(headings, ["---", *["--:"] * (len(headings) - 2), "---"])
    for rtt_ms, mbit in product(_RTTS_MS, _MBIT):
        reports: dict[str, PolicyReport] = {}
        for name, without in _VARIANTS.items():
            workload = Workload(
                pair.big,
                pair.big_times,
                slowdown=given.device_slowdown,
                requests=given.requests,
                seed=0,
                without=("inherit", *without),
                shown=Shown(camera, answers, little),
            )
            scenario = Scenario(
                trace=Trace.constant(mbit * 1e6 / 8), every_s=_EVERY_S, rtt_s=rtt_ms / 1e3, min_fidelity=0.99
            )
            policies = ("collabd",) if without else (*PLAIN, "collabd", "oracle")
            found = policy_reports(compare(workload, scenario, policies), judge.realised)
            reports |= {name if policy == "collabd" else policy: each for policy, each in found.items()}
        ours, best = reports["collabd"], min(reports[policy]["mean_ms"] for policy in PLAIN)
        _print(
            (
                f"{rtt_ms:g} ms, {mbit:g} Mbit/s",
                *(f"{reports[policy]['mean_ms']:.1f}" for policy in PLAIN),
                *(_with_fidelity(reports[name]) for name in _VARIANTS),
                f"{ours['mean_ms'] / best:.3f}",
                f"{reports['oracle']['mean_ms'] / best:.3f}",
                f"{ours['plan']}, {ours['little'] / given.requests:.0%}",
            )
        )


def _with_fidelity(report: PolicyReport) -> str:
    realised = report["realised"]
    shown = "" if realised is None else f" ({100 * realised['mean']:.2f}, {100 * realised['least']:.2f})"
    return f"{report['mean_ms']:.1f}{shown}"


def _with_gain(profile: Profile, gain: float | None) -> Profile:
    if gain is None:
        return profile
    cuts = tuple(msgspec.structs.replace(times, int8=_faster(times, gain)) for times in profile.cuts)
    return msgspec.structs.replace(profile, cuts=cuts, whole_int8_ms=profile.whole_ms / gain)


def _faster(times: CutTimes, gain: float) -> VariantTimes:
    return VariantTimes(head_ms=times.head_ms / gain, tail_ms=times.tail_ms / gain)


def _print(*rows: Sequence[str]) -> None:
    for cells in rows:
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
