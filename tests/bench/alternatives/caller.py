"""The calling program, inside the honest device: it calls each alternative in turn, as it is ordered on its input."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np

from collab_sdk import Client, Result
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import GRAPHS
from tests.bench.alternatives.minimal import MinimalClient
from tests.bench.alternatives.networks import files, frames
from tests.bench.alternatives.orders import (
    Answer,
    Compare,
    Comparison,
    Cost,
    Costs,
    Device,
    Form,
    Measured,
    Order,
    Spending,
)
from tests.bench.alternatives.plain import Bare, Network, Picture, Sender, as_jpeg, as_raw
from tests.bench.device import Spent, spent
from tests.bench.programs import obey

BARE, BARE_INT8, JPEG, RAW = "bare", "bare int8", "JPEG to the server", "raw to the server"
DEFAULT, ANY, FIXED_JPEG, LOCAL = "collabd", "collabd, any fidelity", "collabd, JPEG", "collabd, local"
MINIMAL = "minimal daemon"
# Plans that look no more than this many times as slow as the best are tried, at most so many.
_NEAR, _PLANS = 1.5, 5
# So that every estimate is learned, sessions are built, and connections are open.
_WARM_UP = 8
# A pause between two calls lets the work behind an answer end, so that no alternative pays for the one before it.
_PAUSE_S = 0.02
# After so many rounds an alternative this many times as slow as the fastest is called in every fourth round only.
_SORTED_OUT, _SLOW, _RARELY = 3, 3.0, 4

Call = Callable[[Picture], Result | np.ndarray]


class Alternative:
    """One way to get an answer, and how long it took each time."""

    def __init__(self, name: str, call: Call) -> None:
        self.name = name
        self.seconds: list[float] = []
        self._call = call
        self._results: list[Result] = []

    def warm_up(self, pictures: Sequence[Picture], times: int) -> None:
        """Calls that do not count."""
        for turn in range(times):
            self._call(pictures[turn % len(pictures)])

    def measure(self, picture: Picture) -> None:
        """One call that counts."""
        began = time.perf_counter()
        result = self._call(picture)
        self.seconds.append(time.perf_counter() - began)
        if isinstance(result, Result):
            self._results.append(result)

    def measured(self) -> Measured:
        """All of it."""
        plans = Counter(map(_plan_name, self._results)).most_common(1)
        return Measured(
            name=self.name,
            latencies_ms=[seconds * 1e3 for seconds in self.seconds],
            plan=plans[0][0] if plans else "",
            predicted_ms=[result.predicted.latency_ms or 0.0 for result in self._results],
        )


class Caller:
    """Calls collabd and the alternatives to it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._client = Client(device.socket, timeout_s=120)
        self._networks: dict[str, Network] = {}

    def obey(self, order: Order) -> Answer:
        """Do what is ordered."""
        return self._compare(order) if isinstance(order, Compare) else self._cost(order)

    def _compare(self, order: Compare) -> Comparison:
        pictures = _pictures(order.network, order.form)
        with ExitStack() as connections:
            alternatives = self._alternatives(order.network, pictures, connections)
            _take_turns(alternatives, pictures, order)
        return Comparison([each.measured() for each in alternatives])

    def _alternatives(self, name: str, pictures: Sequence[Picture], connections: ExitStack) -> list[Alternative]:
        """All of them, warm."""
        plain, server, ours = self._network(name), self._device.server, partial(self._ours, name)
        senders = {JPEG: Sender(server, plain, as_jpeg), RAW: Sender(server, plain, as_raw)}
        free = Alternative(ANY, ours(budget="0%"))
        local = Alternative(LOCAL, ours(fallback="never-leave"))
        int8 = Path(self._device.packages[name]) / GRAPHS[Precision.INT8]
        found = [
            Alternative(BARE, Bare(plain)),
            *([Alternative(BARE_INT8, Bare(Network(int8.parent, int8.name)))] if int8.exists() else []),
            *(Alternative(way, connections.enter_context(closing(sender))) for way, sender in senders.items()),
            Alternative(DEFAULT, ours()),
            free,
            Alternative(FIXED_JPEG, ours(cut="image", codec="jpeg")),
            local,
        ]
        for each in found:
            each.warm_up(pictures, _WARM_UP if each in {free, local} else 2)
        for cut, codec in self._near_plans(name, pictures[0]):
            found.append(Alternative(f"collabd, {cut}/{codec}", ours(cut=cut, codec=codec)))
            found[-1].warm_up(pictures, 2)
        return found

    def _near_plans(self, network: str, picture: Picture) -> list[tuple[str, str]]:
        """The plans that look best to collabd at any fidelity, besides those that are measured anyway.

        The device may not help, since a plan that it overtakes looks as good as a local one.
        """
        self._ours(network, budget="0%", fallback="fail")(picture)
        candidates = self._client.explain(1)["decisions"][0]["candidates"]
        possible = [each for each in candidates if each["verdict"] not in {"impossible", "not-allowed"}]
        possible.sort(key=lambda each: each["predicted_ms"])
        near = [each for each in possible if each["predicted_ms"] <= _NEAR * possible[0]["predicted_ms"]]
        plans = [(each["cut"], each["codec"]) for each in near if each["cloud"] is not None]
        return [plan for plan in plans if plan != ("image", "jpeg")][:_PLANS]

    def _cost(self, order: Cost) -> Costs:
        pictures = _pictures(order.network, order.form)
        with closing(MinimalClient(Path(self._device.minimal), order.network)) as minimal:
            spendings = [
                _Spendings(BARE, Bare(self._network(order.network)), None),
                _Spendings(MINIMAL, minimal, self._device.minimal_pid),
                _Spendings(LOCAL, self._ours(order.network, fallback="never-leave"), self._device.collabd),
            ]
            for each in spendings:
                each.batch(pictures, order.calls, counts=False)
            for _ in range(order.batches):
                for each in spendings:
                    each.batch(pictures, order.calls)
        return Costs([each.spending() for each in spendings])

    def _ours(self, network: str, *, budget: str | None = None, **options: Any) -> Call:
        return lambda picture: self._client.infer(picture, budget, model=network, **options)

    def _network(self, name: str) -> Network:
        if name not in self._networks:
            self._networks[name] = Network(Path(self._device.packages[name]))
        return self._networks[name]


class _Counts(NamedTuple):
    """What the caller and the daemon used, and the bytes that the daemon read, mostly from its socket."""

    own: Spent
    daemon: Spent
    read_bytes: int


class _Spendings:
    """What the calls of one alternative cost, batch by batch."""

    def __init__(self, name: str, call: Call, daemon: int | None) -> None:
        self._name, self._call, self._daemon = name, call, daemon
        self._batches: list[_Counts] = []

    def batch(self, pictures: Sequence[Picture], calls: int, *, counts: bool = True) -> None:
        before = self._look()
        for turn in range(calls):
            self._call(pictures[turn % len(pictures)])
        time.sleep(_PAUSE_S)
        after = self._look()
        if counts:
            self._batches.append(
                _Counts(after.own - before.own, after.daemon - before.daemon, after.read_bytes - before.read_bytes)
            )
        self._calls = calls

    def spending(self) -> Spending:
        def typical(values: Sequence[float]) -> float:
            return median(values) / self._calls

        return Spending(
            name=self._name,
            caller_ms=typical([each.own.cpu_s * 1e3 for each in self._batches]),
            caller_faults=typical([each.own.faults for each in self._batches]),
            daemon_ms=typical([each.daemon.cpu_s * 1e3 for each in self._batches]),
            daemon_faults=typical([each.daemon.faults for each in self._batches]),
            daemon_read_kb=typical([each.read_bytes / 1e3 for each in self._batches]),
        )

    def _look(self) -> _Counts:
        if self._daemon is None:
            return _Counts(spent(os.getpid()), Spent(0.0, 0), 0)
        read = Path(f"/proc/{self._daemon}/io").read_text().split()[1]
        return _Counts(spent(os.getpid()), spent(self._daemon), int(read))


def _plan_name(result: Result) -> str:
    """What is usual goes without saying."""
    plan = result.plan
    precision = "" if plan.precision == Precision.FP32 else f" {plan.precision}"
    little = "" if plan.cascade is None else f" {plan.cascade} {plan.little_precision}"
    return f"{plan.cut}/{plan.codec}{precision}{little}"


def _pictures(network: str, form: Form) -> Sequence[Picture]:
    return files(network) if form == "file" else frames()


def _take_turns(alternatives: Sequence[Alternative], pictures: Sequence[Picture], order: Compare) -> None:
    """In each round in another order, so that none is always called behind the same one."""
    luck, end = Random(0), time.monotonic() + order.most_s
    for turn in range(order.rounds):
        fastest = min(median(each.seconds) for each in alternatives) if turn >= _SORTED_OUT else 0.0
        for each in luck.sample(alternatives, len(alternatives)):
            is_slow = turn >= _SORTED_OUT and median(each.seconds) > _SLOW * fastest
            if is_slow and turn % _RARELY:
                continue
            time.sleep(_PAUSE_S)
            each.measure(pictures[turn % len(pictures)])
        if time.monotonic() > end and turn >= _SORTED_OUT:
            return


def main() -> None:
    """Obey one order a line until the input ends."""
    caller = Caller(msgspec.json.decode(sys.argv[1], type=Device))
    obey(Order, caller.obey)


if __name__ == "__main__":
    main()
