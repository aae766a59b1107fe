"""The calling program, on the device: `python -m tests.bench.live.caller SOCKET`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np

from collab_sdk import Client
from collabd.simulation.samples import Form
from tests.bench.alternatives.networks import files, frames
from tests.bench.live.orders import Calls, Candidate, Outcome, Report
from tests.bench.programs import obey


@cache
def _images(model: str, form: Form) -> Sequence[bytes | np.ndarray]:
    return files(model) if form == "file" else frames()


def main(socket: str) -> None:
    with Client(socket, timeout_s=120) as client:

        def call(order: Calls) -> Report:
            images = _images(order.model, order.form)
            outcomes = []
            for turn, budget in enumerate(order.budgets):
                time.sleep(order.pause_s)
                image = images[turn % len(images)]
                result = client.infer(image, budget, model=order.model, cut=order.cut, codec=order.codec)
                outcomes.append(Outcome.of(result))
            considered = client.explain(1)["decisions"][0]["candidates"]
            return Report(outcomes=outcomes, candidates=msgspec.convert(considered, list[Candidate]))

        obey(Calls, call)


if __name__ == "__main__":
    main(sys.argv[1])
