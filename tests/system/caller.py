"""Runs in the box: applications that call without a pause, until standard input ends.

Prints a line when each has had an answer, and at the end what they saw, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numpy as np

from collab_sdk import Client, CollabError

# The model, and the side of its images.
CALLS = (("alexnet_cifar10", 32), ("efficientnet_lite0", 224))


class Caller(threading.Thread):
    """One application: its own client and images, every answer compared with the first to the same image."""

    def __init__(self, seed: int, budget: str) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.images = [(model, rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for model, side in CALLS]
        self.budget = budget
        self.answered = 0
        self.failed: list[str] = []
        self.different = 0
        self.longest_s = 0.0
        self.plans: set[str] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        first: dict[str, Any] = {}
        with Client(timeout_s=60) as client:
            while not self.stop.is_set():
                for model, image in self.images:
                    start = time.monotonic()
                    try:
                        result = client.infer(image, self.budget, model=model)
                    except CollabError as error:
                        self.failed.append(repr(error))
                        continue
                    self.answered += 1
                    self.longest_s = max(self.longest_s, time.monotonic() - start)
                    self.plans.add(f"{result.plan.cut} {result.plan.codec}")
                    self.different += not np.allclose(result.scores, first.setdefault(model, result.scores), atol=1e-6)


def main(count: int, budget: str) -> None:
    callers = [Caller(seed, budget) for seed in range(count)]
    for caller in callers:
        caller.start()
    while not all(caller.answered or caller.failed for caller in callers):
        time.sleep(0.01)
    print("all call", flush=True)
    sys.stdin.read()
    for caller in callers:
        caller.stop.set()
    for caller in callers:
        caller.join()
    report = {
        "answered": [caller.answered for caller in callers],
        "failed": [error for caller in callers for error in caller.failed],
        "different": sum(caller.different for caller in callers),
        "longest_s": max(caller.longest_s for caller in callers),
        "plans": sorted(set().union(*(caller.plans for caller in callers))),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
