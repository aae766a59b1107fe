"""`make demo` shows collabd on one machine: two daemons, a shaped link between them, real images, a killed companion.

The demo exits with 1 if an answer is lost, if a lossless plan and the unsplit network give different answers, or if the
lossy plans of a network agree with the unsplit network less often than the fidelity cap says, for images of which that
network is sure.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import click

from collab_sdk import AsyncClient, Result
from collabd.simulation.relay import Relay
from collabd.simulation.samples import Form, Sample, load_samples
from collabd.simulation.slow_cpu import NoSlowCpu, SlowCpu
from collabd.simulation.testbed import COLLABD, Testbed

SHARE = 0.2
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
_DETECTOR = "nanodet_g"
_DRAWN = Path("build/demo")
_COLUMNS = 79
# So much of a cut's name fits beside the longest name of a codec.
_CUT = 15


Samples = dict[tuple[str, Form], list[Sample]]


@dataclass(kw_only=True)
class Tally:
    """The answers so far, and for each network whether its lossy answers agree with the unsplit network.

    Of the lossy answers only those for images count of which the unsplit network is sure, as fidelity does.
    """

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
        elif sample.sure:
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
    tally = Tally()
    with _slow_if_possible() as testbed_of:
        testbed = testbed_of(root, directory)
        await _show(testbed, tally, samples, pictures=sorted((root / "samples/objects").glob("*.jpg")))
    click.echo(f"{tally.answered} of {tally.asked} calls answered.")
    for model, same in tally.lossy.items():
        click.echo(f"{model}: {sum(same)} of {len(same)} lossy answers equal the unsplit network's.")
    click.echo("(Only images of which the unsplit network is sure; fidelity counts no others.)")
    return tally.failures()


@contextmanager
def _slow_if_possible() -> Iterator[Callable[[Path, Path], Testbed]]:
    """A test bed whose device is slow in all that it does, if this machine can make one."""
    with ExitStack() as stack:
        slow = SlowCpu(SHARE)
        try:
            stack.enter_context(slow)
        except NoSlowCpu as reason:
            _say(f"The device is as fast as this machine, so it often has no reason to send: {reason}.")
            yield Testbed
        else:
            _say(f"collabd runs in a CPU cgroup that gives it {SHARE:.0%} of one core, like a slow board.")
            # A second thread would only share the same time.
            yield partial(Testbed, device=slow.command(COLLABD), settings="[engine]\nthreads = 1\n")


async def _show(testbed: Testbed, tally: Tally, samples: Samples, *, pictures: Sequence[Path]) -> None:
    async with testbed.relay() as relay:
        relay.set_rate(RATES_MBIT[-1] * 1e6 / 8)
        relay.set_rtt(RTT_MS / 1e3)
        with testbed:
            click.echo("Both daemons start and measure five networks ...")
            start = time.monotonic()
            async with AsyncClient(testbed.socket) as client:
                await testbed.until_ready(client, tell=_News())
                click.echo(f"They are ready after {time.monotonic() - start:.0f} s.\n")
                await _table(client, tally, samples, relay=relay)
                await _objects(client, tally, pictures)
                await _kill(client, tally, samples, testbed=testbed)


class _News:
    """Shows what is waited for whenever it is something else: a slow machine measures the networks for minutes."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last = ""

    def __call__(self, reason: str) -> None:
        if reason != self._last:
            _say(f"After {time.monotonic() - self._start:.0f} s: {reason}.")
            self._last = reason


async def _table(client: AsyncClient, tally: Tally, samples: Samples, *, relay: Relay) -> None:
    click.echo(
        f"Each row: medians of {IMAGES} calls; the times in ms. A round trip takes {RTT_MS:g} ms.\n"
        f"met: calls within their budget. right: answers that equal the image's label.\n"
        f"same: answers that equal the unsplit network's.\n"
    )
    for rate in RATES_MBIT:
        relay.set_rate(rate * 1e6 / 8)
        for (model, form), budgets in CASES.items():
            click.echo(f"{rate:g} Mbit/s, {model}, an image as a {form}")
            click.echo(f"  {'budget':10}  {'plan (cut/codec)':20}  predicted  measured  kB up  met right same")
            for budget in budgets:
                images = samples[model, form]
                results = [await _ask(client, tally, sample, model=model, budget=budget) for sample in images]
                click.echo(_row(images, results, budget=budget))
            click.echo()


async def _ask(client: AsyncClient, tally: Tally, sample: Sample, *, model: str, budget: str) -> Result:
    tally.asked += 1
    result = await client.infer(sample.image, budget or None, model=model)
    tally.add(sample, result)
    return result


def _row(samples: Sequence[Sample], results: Sequence[Result], *, budget: str) -> str:
    plans = [_plan(result) for result in results]
    plan = max(set(plans), key=plans.count)
    predicted = median(result.predicted.latency_ms or 0.0 for result in results)
    measured = median(result.measured.latency_ms or 0.0 for result in results)
    right = sum(result.label in sample.labels for sample, result in zip(samples, results, strict=True))
    same = sum(result.label == sample.unsplit for sample, result in zip(samples, results, strict=True))
    met = sum(result.budget_met for result in results)
    up = median(result.bytes_up for result in results)
    return (
        f"  {budget or 'none':10}  {plan:20}  {predicted:9.1f}  {measured:8.1f}  {up / 1e3:5.1f}  "
        f"{met}/{len(results)} {right:>3}/{len(results)} {same:>2}/{len(results)}"
    )


def _plan(result: Result) -> str:
    cut, codec = result.plan.cut, result.plan.codec
    if result.plan.cloud is None:
        return "all on the device"
    return f"{cut}/{codec}" if len(cut) <= _CUT else f"{cut[: _CUT - 1]}…/{codec}"


async def _objects(client: AsyncClient, tally: Tally, pictures: Sequence[Path]) -> None:
    """Find the things in photographs, and draw their boxes."""
    click.echo(f"What {_DETECTOR} finds in photographs, out of the box; drawn in {_DRAWN}/:")
    for picture in pictures:
        tally.asked += 1
        result = await client.infer(picture, model=_DETECTOR)
        tally.answered += 1
        await asyncio.to_thread(_draw, result, picture)
        _say(f"  {picture.name}: {result}")
    click.echo()


def _draw(result: Result, picture: Path) -> None:
    _DRAWN.mkdir(parents=True, exist_ok=True)
    result.draw(picture).save(_DRAWN / f"{picture.stem}.png")


async def _kill(client: AsyncClient, tally: Tally, samples: Samples, *, testbed: Testbed) -> None:
    """Send a stream of calls. During it the companion is killed and started again."""
    click.echo(f"{_STREAM} calls of {_STREAM_OF[0]} (budget 250ms); after a third the companion is killed:")
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
        "  C: the companion took part. D: planned on the device alone.\n"
        "  x: the companion failed, and the device finished."
    )
    for why in dict.fromkeys(result.why for result in degraded):
        _say(f"  why x: {why}")
    click.echo()


def _say(text: str) -> None:
    click.echo(textwrap.fill(text, _COLUMNS, subsequent_indent="  "))


if __name__ == "__main__":
    main()
