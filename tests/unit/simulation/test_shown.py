"""The simulated machines answer what the real ones would answer to the pictures of the requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package
from collabd.device.companions.answers import Question
from collabd.device.companions.overhead import ENVELOPE_UP_BYTES
from collabd.device.job.image import CallImage
from collabd.device.job.job import Crossing
from collabd.engine import Stop
from collabd.profiling.profile import Profile
from collabd.sensing.power.board import board_power
from collabd.simulation.answers import UNSPLIT, AnswerRow, Answers
from collabd.simulation.pictures import ShownPictures, SimulatedCamera
from collabd.simulation.shown import Shown
from collabd.simulation.simulated_companion import SimulatedCompanion, SimulatedLink
from collabd.simulation.simulated_device import SimulatedThread, simulated_compute
from collabd.simulation.traces import Trace
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import run
from collabd.simulation.workload import Draw, Workload
from collabd.simulation.world import World

TURN = Turn(3, Draw(8.0, 1.0, 0.0))
INT8 = Precision.INT8


@pytest.fixture
def camera(tiny_images: list[np.ndarray]) -> SimulatedCamera:
    pictures = ShownPictures(np.stack(tiny_images), ((16, 16),) * len(tiny_images))
    return SimulatedCamera(pictures, requests=20, parked=0.5, seed=0)


@pytest.fixture
def answers(int8_package: Package, camera: SimulatedCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return Answers(int8_package, camera.pictures)


@pytest.fixture
def work(int8_package: Package, int8_profile: Profile, camera: SimulatedCamera, answers: Answers) -> Workload:
    shown = Shown(camera, answers)
    return Workload(int8_package, int8_profile, slowdown=8.0, requests=20, seed=0, shown=shown)


def test_the_device_answers_to_the_frame(work: Workload, camera: SimulatedCamera, answers: Answers) -> None:
    model = work.model()
    compute = simulated_compute(work, model, SimulatedThread(stop_s=lambda: 0.0), turn=TURN)
    manifest, frame = work.package.manifest, camera.frames(0)[3:4]
    cut = manifest.cuts[1]
    image = compute.prepare_image(CallImage(np.zeros((16, 16, 3), np.uint8), 0), manifest.require_picture())
    assert np.array_equal(image, camera.pictures.frame(int(frame[0])))
    whole = compute.run_layers(model.key, {"image": image}, ["logits"], stop=Stop())
    assert np.array_equal(whole["logits"], answers.of(UNSPLIT, frame)["logits"])
    features = compute.run_layers(model.keys[INT8], {"image": image}, cut.tensors, stop=Stop())
    rest = compute.run_layers(model.key, features, ["logits"], stop=Stop())
    expected = answers.of(AnswerRow.over(cut.name, "f32", INT8, Precision.FP32), frame)
    assert np.array_equal(rest["logits"], expected["logits"])


def test_the_companion_answers_to_the_frame(work: Workload, camera: SimulatedCamera, answers: Answers) -> None:
    model, cut = work.model(), work.package.manifest.cuts[1]
    compute = simulated_compute(work, model, SimulatedThread(stop_s=lambda: 0.0), turn=TURN)
    image = np.zeros((1, 16, 16, 3), np.uint8)
    features = compute.run_layers(model.keys[INT8], {"image": image}, cut.tensors, stop=Stop())
    crossing = Crossing(codec="q4", channel_axis=None, decode_s=0.0, rest_s=0.0)
    question = Question(
        model="tiny",
        digest=work.package.digest,
        inputs=compute.encode(features, crossing, model),
        outputs=("logits",),
        bytes_down=12,
        read=lambda found: {tensor.name: tensor.to_array() for tensor in found},
        precision=INT8,
    )

    async def asked() -> wire.InferResponse:
        world = World(work, Trace.constant(1e6), rtt_s=None, power=board_power("pi4"))
        companion = SimulatedCompanion(work, SimulatedLink(world, lambda: 0.0), TURN)
        message = question.message()
        reply = await companion.call("POST", "/infer", data=[message.body()], headers=message.headers)
        (exchange,) = companion.answered
        sent = sum(len(tensor.data) for tensor in question.inputs)
        assert exchange.up_bytes == sent + ENVELOPE_UP_BYTES
        return wire.decode_response(reply.body, wire.header_length(reply.headers))

    (output,) = run(asked()).outputs
    expected = answers.of(AnswerRow.over(cut.name, "q4", INT8, INT8), camera.frames(0)[3:4])
    assert np.array_equal(output.to_array(), expected["logits"])
