"""The device's own work in a simulation. Nothing is computed, and all work takes the time that was measured for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collabd.catalog.package.manifest import Picture
from collabd.device.companions.answers import Tensors
from collabd.device.companions.overhead import ENVELOPE_UP_BYTES
from collabd.device.job.image import CallImage
from collabd.device.job.job import Crossing
from collabd.device.job.placement import NO_CODEC
from collabd.device.lane.lane import LanePart, Piece, Timed
from collabd.device.models.model import DeviceModel
from collabd.device.run.compute import Compute
from collabd.engine import Stop
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.workload import Workload

T = TypeVar("T")


class Span(NamedTuple):
    """A span of time, from `began_s` to `ended_s` on the clock."""

    began_s: float
    ended_s: float

    @property
    def seconds(self) -> float:
        """The length of the span."""
        return self.ended_s - self.began_s


class SimulatedThread:
    """A `LaneThread`. The work calls `takes` to say how long it takes.

    A stopped piece goes on for `stop_s()` seconds, or less if it would have ended before.
    """

    def __init__(self, *, stop_s: Callable[[], float]) -> None:
        self._stop_s = stop_s
        self._takes_s = 0.0
        # The spans in which the thread worked, and the time when it is idle again.
        self.worked: list[Span] = []
        self.idle_at_s = 0.0

    def takes(self, seconds: float) -> None:
        """A piece of work calls this to take this many more seconds."""
        self._takes_s += seconds

    async def run(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        """Run the parts of a piece after the previous piece has ended."""
        timed, ready_s = [], piece.asked
        await sleep_until(self.idle_at_s)
        with piece.running:
            for part in piece.parts:
                timed.append(await self._run_part(part, stop, ready_s=ready_s))
                ready_s = self.idle_at_s
        return timed

    async def _run_part(self, part: LanePart[T], stop: Stop, *, ready_s: float) -> Timed[T]:
        loop = asyncio.get_running_loop()
        began_s, self._takes_s = loop.time(), 0.0
        if part.setup is not None:
            part.setup()
        value = part.work(stop)
        seconds = self._takes_s
        self.idle_at_s = began_s + seconds
        try:
            await sleep_until(self.idle_at_s)
        except asyncio.CancelledError:
            self.idle_at_s = min(self.idle_at_s, loop.time() + self._stop_s())
            raise
        finally:
            self.worked.append(Span(began_s, self.idle_at_s))
        return Timed(value, seconds, began_s - ready_s)

    async def prepare(self, work: Callable[[], T]) -> T:
        """Run the work at once, in no time."""
        return work()

    def close(self) -> None:
        """Do nothing: there is no thread to end."""


def simulated_compute(
    workload: Workload, model: DeviceModel, thread: SimulatedThread, *, little: DeviceModel | None = None, turn: Turn
) -> Compute:
    """A `Compute` whose work takes the times of the profile on `thread`, multiplied by the luck of the request.

    `little`: the little network of the model; None: it has none.
    """
    manifest, blanks = workload.package.manifest, workload.blanks
    precision_of = {key: precision for precision, key in model.keys.items()}
    of_little = {} if little is None else {key: precision for precision, key in little.keys.items()}

    def prepare_image(_: CallImage, __: Picture) -> npt.NDArray[np.uint8]:
        thread.takes(workload.prep_s * turn.luck.device)
        if workload.shown is not None:
            return workload.shown.pixels(turn.request)
        return blanks[manifest.input_names[0]].astype(np.uint8, copy=False)

    def prepare_layers(_: str, __: Sequence[str], ___: Sequence[str]) -> None:
        pass

    def run_layers(
        key: str, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], *, stop: Stop
    ) -> dict[str, np.ndarray]:
        del stop
        if key in of_little:
            assert workload.shown is not None, "only then there is a little network"  # noqa: S101
            thread.takes(workload.shown.paired.run_s(of_little[key]) * turn.luck.device)
            return workload.shown.little_outputs(turn.request, of_little[key])
        precision = precision_of[key]
        thread.takes(workload.times[precision].device_run_s(tuple(feeds), tuple(outputs)) * turn.luck.device)
        if not {*manifest.output_names} <= {*outputs}:
            turn.head = precision
        elif workload.shown is not None:
            row = workload.row(feeds, NO_CODEC, head=turn.head, tail=precision)
            return workload.shown.outputs(row, turn.request)
        return {name: blanks[name] for name in outputs}

    def encode(features: Tensors, crossing: Crossing, _: DeviceModel) -> list[wire.Tensor]:
        plan = workload.plan(workload.cut(features).name, crossing.codec, turn.head)
        thread.takes(plan.encode_s * turn.luck.device)
        payload = bytes(max(int(workload.up_bytes(plan, turn.luck)) - ENVELOPE_UP_BYTES, 0))
        payloads = [payload, *(b"" for _ in range(len(features) - 1))]
        return [
            wire.Tensor(
                name, wire.datatype_of(array.dtype), array.shape, data=data, parameters={"codec": crossing.codec}
            )
            for (name, array), data in zip(features.items(), payloads, strict=True)
        ]

    return Compute(prepare_image=prepare_image, prepare_layers=prepare_layers, run_layers=run_layers, encode=encode)
