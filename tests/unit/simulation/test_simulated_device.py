"""The lane's thread and a call's work in a simulation: what they take, and how they are stopped."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np
import pytest

from collab_sdk import wire
from collabd.device.job.image import CallImage
from collabd.device.job.job import Crossing
from collabd.device.lane.lane import Lane, Timed
from collabd.engine import Stop
from collabd.simulation.simulated_device import SimulatedThread, Span, simulated_compute
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import run
from collabd.simulation.workload import Draw
from tests.unit.simulation.conftest import Loads

STOP_S = 0.5
LUCK = Draw(8.8, 1.1, 0.3)


def new_thread() -> SimulatedThread:
    return SimulatedThread(stop_s=lambda: STOP_S)


def test_a_piece_takes_what_it_says() -> None:
    thread = new_thread()

    def work(_: Stop) -> str:
        thread.takes(0.5)
        thread.takes(1.5)
        return "done"

    async def main() -> Timed[str]:
        return await Lane(thread, clock=asyncio.get_running_loop().time).run(work)

    timed = run(main())
    assert (timed.value, timed.seconds, timed.waited_s) == ("done", 2.0, 0.0)
    assert thread.worked == [Span(0.0, 2.0)]


def test_pieces_follow_one_another() -> None:
    thread = new_thread()

    async def main() -> list[Timed[None]]:
        lane = Lane(thread, clock=asyncio.get_running_loop().time)
        pieces = [lane.run(lambda _, seconds=seconds: thread.takes(seconds)) for seconds in (1.0, 2.0)]  # type: ignore[misc]
        return await asyncio.gather(*pieces)

    first, second = run(main())
    assert (first.seconds, first.waited_s) == (1.0, 0.0)
    assert (second.seconds, second.waited_s) == (2.0, 1.0)


@pytest.mark.parametrize(("stopped_s", "idle_s"), [(1.0, 1.5), (2.9, 3.0)])
def test_a_piece_that_is_stopped_goes_on_for_a_while_but_not_beyond_its_end(stopped_s: float, idle_s: float) -> None:
    thread = new_thread()

    async def main() -> Timed[None]:
        lane = Lane(thread, clock=asyncio.get_running_loop().time)
        task = asyncio.create_task(lane.run(lambda _: thread.takes(3.0)))
        await asyncio.sleep(stopped_s)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not lane.busy
        return await lane.run(lambda _: thread.takes(1.0))

    after = run(main())
    assert after.waited_s == pytest.approx(idle_s - stopped_s)
    assert [span.seconds for span in thread.worked] == pytest.approx([idle_s, 1.0])


def test_work_takes_the_profiled_time_and_the_luck_of_the_request(workload: Loads) -> None:
    it, thread = workload(1), new_thread()
    model = it.model()
    compute = simulated_compute(it, model, thread, turn=Turn(0, LUCK))
    manifest = it.package.manifest
    frame = CallImage(np.zeros((16, 16, 3), np.uint8), 256)
    image = compute.prepare_image(frame, manifest.require_picture())
    for plan in it.plans.rows[1:]:
        cut = next(cut for cut in manifest.cuts if cut.name == plan.cut)

        async def main() -> list[Timed[object]]:
            lane = Lane(thread, clock=asyncio.get_running_loop().time)
            crossing = Crossing(codec=plan.codec, channel_axis=None, decode_s=0.0, rest_s=0.0)  # noqa: B023
            made = {name: np.zeros(1) for name in cut.tensors}  # noqa: B023
            feeds = {"image": image}
            return [
                await lane.run(lambda _: compute.prepare_image(frame, manifest.require_picture())),
                await lane.run(lambda stop: compute.run_layers(model.key, feeds, cut.tensors, stop=stop)),  # noqa: B023
                await lane.run(lambda _: compute.encode(made, crossing, model)),  # type: ignore[arg-type]
                await lane.run(lambda stop: compute.run_layers(model.key, made, manifest.output_names, stop=stop)),
            ]

        thread.idle_at_s = 0.0
        prepared, head, encoded, tail = run(main())
        assert prepared.seconds == pytest.approx(it.prep_s * LUCK.device)
        assert encoded.seconds == pytest.approx(plan.encode_s * LUCK.device)
        if cut.head_layers:
            assert head.seconds == pytest.approx(plan.head_s * LUCK.device)
        assert tail.seconds >= plan.local_tail_s * LUCK.device * (1 - 1e-9)
        assert isinstance(encoded.value, list)
        assert sum(len(tensor.data) for tensor in encoded.value) == pytest.approx(
            it.up_bytes(plan, LUCK) - 280, abs=1.0
        )


def test_outputs_have_the_shape_of_the_networks_own(workload: Loads) -> None:
    it = workload(1)
    model = it.model()
    compute = simulated_compute(it, model, new_thread(), turn=Turn(0, LUCK))
    manifest = it.package.manifest
    feeds = {"image": np.zeros((1, 16, 16, 3), np.uint8)}
    output = compute.run_layers(model.key, feeds, manifest.output_names, stop=Stop())["logits"]
    assert output.shape == (1, len(manifest.labels))
    assert wire.datatype_of(output.dtype) == "FP32"
