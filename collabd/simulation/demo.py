"""`make demo` shows collabd on one machine: two daemons, a shaped link between them, real images, a killed companion.

The demo exits with 1 if an answer is lost, if a lossless plan and the unsplit network give different answers, or if the
lossy plans of a network agree with the unsplit network less often than the fidelity cap says.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click

from collab_sdk import AsyncClient, Result
from collabd.simulation.relay import Relay
from collabd.simulation.samples import Form, Sample, load_samples
from collabd.simulation.testbed import Testbed

SLOWDOWN = 8.0
RTT_MS = 5.0
RATES_MBIT = (0.5, 5.0, 50.0)
MIN_FIDELITY = 0.99
IMAGES = 8
CASES: dict[tuple[str, Form], tuple[str, ...]] = {
    ("alexnet_cifar10", "file"): ("", "25ms", "100%", "min-energy", "cost 0"),
    ("vgg16_cifar10", "file"): ("", "60ms", "100%", "min-energy", "cost 0"),
    ("efficientnet_lite0", "file"): ("", "150ms", "min-energy", "cost 0"),
    ("efficientnet_lite0", "frame"): ("", "150ms", "100%", "cost 0"),
}
_STREAM_OF: tuple[str, Form] = ("vgg16_cifar10", "file")
_STREAM = 60


Samples = dict[tuple[str, Form], list[Sample]]


@dataclass(kw_only=True)
class Tally:
    """The answers so far, and for each network whether its lossy answers agree with the unsplit network."""

    asked: int = 0
    answered: int = 0
    lossless_wrong: list[str] = field(default_factory=list)
    lossy: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sample: Sample, result: Result) -> None:
        """Compare an answer with the answer of the unsplit network."""
        self.answered += 1
        same = result.label == sample.unsplit
        if result.fidelity == 1.0:
            if not same:
                self.lossless_wrong.append(
                    f"{result.model} {sample.name}: {result.plan.cut}/{result.plan.codec} says {result.label}, "
                    f"unsplit {sample.unsplit}"
                )
        else:
            self.lossy[result.model].append(same)

    def failures(self) -> list[str]:
        """One message for each failure that the demo must not show."""
        found = [f"lost: {self.asked - self.answered} of {self.asked} calls"] if self.asked != self.answered else []
        found += [f"a lossless plan gave another answer: {text}" for text in self.lossless_wrong]
        for model, same in self.lossy.items():
            if sum(same) < MIN_FIDELITY * len(same):
                found.append(
                    f"{model}: lossy plans agreed on {sum(same)} of {len(same)} images, less than {MIN_FIDELITY:.0%}"
                )
        return found


@click.command()
@click.option(
    "--models",
    "root",
    type=click.Path(path_type=Path),
    default=Path("models"),
    help="The directory models/ of the checkout.",
)
def main(root: Path) -> None:
    """Show collabd at work on this machine."""
    with tempfile.TemporaryDirectory(prefix="collabd-demo-") as directory:
        failures = asyncio.run(_demo(root, Path(directory)))
    for failure in failures:
        click.echo(f"FAILED: {failure}", err=True)
    sys.exit(bool(failures))


async def _demo(root: Path, directory: Path) -> list[str]:
    samples = load_samples(root, IMAGES)
    testbed = Testbed(root, directory, slowdown=SLOWDOWN)
    tally = Tally()
    async with testbed.relay() as relay:
        relay.set_rate(RATES_MBIT[-1] * 1e6 / 8)
        relay.set_rtt(RTT_MS / 1e3)
        with testbed:
            click.echo("starting both daemons and profiling three networks on each ...")
            start = time.monotonic()
            async with AsyncClient(testbed.socket) as client:
                await testbed.until_ready(client)
                click.echo(f"ready after {time.monotonic() - start:.0f} s\n")
                await _table(client, tally, samples, relay=relay)
                await _kill(client, tally, samples, testbed=testbed)
    click.echo(f"{tally.answered} of {tally.asked} calls answered. ", nl=False)
    for model, same in tally.lossy.items():
        click.echo(f"{model}: {sum(same)} of {len(same)} lossy answers equal the unsplit network's. ", nl=False)
    click.echo()
    return tally.failures()


async def _table(client: AsyncClient, tally: Tally, samples: Samples, *, relay: Relay) -> None:
    click.echo(
        f"Both sides share this machine; emulation makes the device {SLOWDOWN:g}x slower. Round trip {RTT_MS:g} ms.\n"
        f"Medians of {IMAGES} calls. right: equal to the label. same: equal to the unsplit network's answer.\n"
    )
    plan, predicted, measured = f"{'plan (cut/codec)':28}", f"{'predicted':>9}", f"{'measured':>8}"
    click.echo(
        f"{'Mbit/s':>6}  {'network':18}  {'image':5}  {'budget':10}  {plan}  {predicted}  {measured}  "
        f"{'up':>8}  {'in budget':>9}  {'right':>5}  {'same':>5}"
    )
    for rate in RATES_MBIT:
        relay.set_rate(rate * 1e6 / 8)
        for (model, form), budgets in CASES.items():
            for budget in budgets:
                images = samples[model, form]
                results = [await _ask(client, tally, sample, model=model, budget=budget) for sample in images]
                click.echo(_row(images, results, rate=rate, case=f"{model:18}  {form:5}", budget=budget))
        click.echo()


async def _ask(client: AsyncClient, tally: Tally, sample: Sample, *, model: str, budget: str) -> Result:
    tally.asked += 1
    result = await client.infer(sample.image, budget or None, model=model)
    tally.add(sample, result)
    return result


def _row(samples: Sequence[Sample], results: Sequence[Result], *, rate: float, case: str, budget: str) -> str:
    plans = [f"{result.plan.cut}/{result.plan.codec}" for result in results]
    usual = max(set(plans), key=plans.count)
    plan = "all on the device" if usual == "output/none" else usual
    predicted = median(result.predicted.latency_ms or 0.0 for result in results)
    measured = median(result.measured.latency_ms or 0.0 for result in results)
    right = sum(result.label in sample.labels for sample, result in zip(samples, results, strict=True))
    same = sum(result.label == sample.unsplit for sample, result in zip(samples, results, strict=True))
    met = sum(result.budget_met for result in results)
    up = median(result.bytes_up for result in results)
    return (
        f"{rate:6g}  {case}  {budget or 'none':10}  {plan:28.28}  {predicted:6.1f} ms  {measured:5.1f} ms  "
        f"{up / 1e3:5.1f} kB  {met:>4} of {len(results)}  {right:>3}/{len(results)}  {same:>3}/{len(results)}"
    )


async def _kill(client: AsyncClient, tally: Tally, samples: Samples, *, testbed: Testbed) -> None:
    """Send a stream of calls. During it the companion is killed and started again."""
    click.echo(f"{_STREAM} calls of {_STREAM_OF[0]} (budget 250ms); the companion is killed after a third of them:")
    stream = [samples[_STREAM_OF][index % IMAGES] for index in range(_STREAM)]
    marks: list[str] = []
    degraded: list[Result] = []
    for index, sample in enumerate(stream):
        if index == _STREAM // 3:
            pending = asyncio.create_task(_ask(client, tally, sample, model=_STREAM_OF[0], budget="250ms"))
            await asyncio.sleep(0.005)
            testbed.kill_cloud()
            result = await pending
        else:
            if index == 2 * _STREAM // 3:
                testbed.start_cloud()
                await testbed.until_cloud_is_up(client)
            result = await _ask(client, tally, sample, model=_STREAM_OF[0], budget="250ms")
        marks.append("x" if result.degraded else "C" if "C" in result.ran else "D")
        if result.degraded:
            degraded.append(result)
    click.echo(f"  {''.join(marks)}")
    click.echo(
        "  C: the companion took part. D: planned on the device alone. "
        "x: the companion failed, and the device finished."
    )
    for why in dict.fromkeys(result.why for result in degraded):
        click.echo(f"  why x: {why}")
    click.echo()


if __name__ == "__main__":
    main()
