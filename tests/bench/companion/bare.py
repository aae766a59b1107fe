"""The engine by itself, as fast as it goes on all cores: the bar."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from collabd.engine import Engine
from tests.bench.companion.asks import Ask, engine_of


@dataclass(frozen=True)
class Rate:
    """Images a second, and the processor time of each."""

    per_s: float
    cpu_ms: float


class Bare:
    """Runs batches in one way: on `lanes` threads side by side, each on so many `cores`."""

    def __init__(self, ask: Ask, *, lanes: int, cores: int, batch: int, decodes: bool) -> None:
        self._ask, self._lanes, self._batch, self._decodes = ask, lanes, batch, decodes
        self._engine: Engine = engine_of(ask.package, cores)
        self._feeds = {name: np.concatenate([array] * batch) for name, array in ask.feeds.items()}
        self._engine.run("it", self._feeds, ask.outputs)

    def rate(self, seconds: float) -> Rate:
        """Run for so long."""
        counts, until = [0] * self._lanes, time.perf_counter() + seconds

        def work(lane: int) -> None:
            while time.perf_counter() < until:
                if self._decodes:
                    for _ in range(self._batch):
                        self._ask.decode()
                self._engine.run("it", self._feeds, self._ask.outputs)
                counts[lane] += self._batch

        threads = [threading.Thread(target=work, args=(lane,)) for lane in range(self._lanes)]
        began, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent, taken = time.process_time() - cpu, time.perf_counter() - began
        return Rate(sum(counts) / taken, spent / sum(counts) * 1e3)
