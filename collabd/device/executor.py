"""Runs a job stage by stage; when the companion is late or fails, finishes from the tensors at the cut."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import CompanionUnavailable
from collabd.codec import IMAGE_CODECS, CodecError, encode
from collabd.device.companion import Companion, CompanionFailure, FailureReason, RemoteAnswer
from collabd.device.compute import Lane
from collabd.device.job import Job, Record, Tensors
from collabd.device.placement import Stage, outputs_of
from collabd.engine import Engine
from collabd.planning import local_start_s, lost_after_s
from collabd.planning.candidates import SOURCE

# How long a call without a deadline waits that may not be finished here.
_PATIENT_S = 10.0


class Executor:
    """Runs jobs on the engine, the lane and the companions given to it."""

    def __init__(self, engine: Engine, lane: Lane, *, patience: float, patience_floor_s: float) -> None:
        self._engine = engine
        self._lane = lane
        self._patience = patience
        self._floor_s = patience_floor_s

    async def run(self, job: Job, record: Record) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """The network's output, float32 [1, labels]; fills in `record`.

        Raises `InvalidImage`, and `CompanionUnavailable` where the job forbids to finish locally.
        """
        output = job.model.manifest.output
        tensors: Tensors = {}
        if job.codec != SOURCE:
            await self._prepare(job, tensors, record)
        for stage in job.stages:
            if stage.side == "D":
                tensors |= await self._run_layers(job, tensors, outputs_of(stage, job.model.manifest), "head_s", record)
                record.ran += "D" * (stage.last - stage.first)
                continue
            tensors |= await self._on_cloud(job, stage, tensors, record)
            if output in tensors:
                break
        return np.asarray(tensors[output], np.float32)

    async def _prepare(self, job: Job, tensors: Tensors, record: Record) -> None:
        timed = await self._lane.run(lambda: job.photo.prepare(job.model.manifest.preprocessing))
        record.add("prep_s", timed.seconds)
        tensors[job.model.manifest.input] = timed.value

    async def _run_layers(
        self, job: Job, tensors: Tensors, outputs: tuple[str, ...], phase: str, record: Record
    ) -> Tensors:
        outputs = tuple(name for name in outputs if name not in tensors)
        feeds = {name: tensors[name] for name in job.model.needed(tuple(tensors), outputs)}
        key = job.model.digest
        timed = await self._lane.run(
            lambda: self._engine.run(key, feeds, outputs),
            setup=lambda: self._engine.prepare(key, tuple(feeds), outputs),
        )
        record.add(phase, timed.seconds)
        return timed.value

    async def _on_cloud(self, job: Job, stage: Stage, tensors: Tensors, record: Record) -> Tensors:
        """The stage's outputs from the companion; or the network's output, finished here."""
        if job.companion is None:
            return await self._give_up(job, stage, tensors, record, "no companion is up")
        outputs = tuple(name for name in outputs_of(stage, job.model.manifest) if name not in tensors)
        try:
            inputs = await self._encode(job, tensors, outputs, record)
        except CodecError as error:
            return await self._give_up(job, stage, tensors, record, f"the features cannot be sent: {error}")
        remote = asyncio.create_task(self._ask(job, job.companion, inputs, outputs))
        local: asyncio.Task[Tensors] | None = None
        try:
            sent = time.perf_counter()
            predicted_s = self._predicted_wait_s(job, job.companion, inputs)
            patience_s = self._patience_s(job, predicted_s, record)
            await asyncio.wait({remote}, timeout=patience_s)
            if not remote.done() and job.fallback == "local":
                # Late: from here on, whoever finishes first wins.
                local = asyncio.create_task(self._finish_here(job, tensors, record))
                await asyncio.wait({remote, local}, return_when=asyncio.FIRST_COMPLETED)
            if remote.done() and remote.exception() is None:
                answer = remote.result()
                record.note_answer(answer, job.companion.cost(answer))
                record.ran += "C" * (stage.last - stage.first)
                return answer.outputs
            why = _why(remote, patience_s)
            if not remote.done():
                waited_s = time.perf_counter() - sent
                lost = waited_s >= lost_after_s(predicted_wait_s=predicted_s, patience=self._patience)
                job.companion.note_late(why, _size(inputs), waited_s - job.tail_s, lost=lost)
            if local is None:
                return await self._give_up(job, stage, tensors, record, why)
            return self._finished_here(job, stage, await local, record, why)
        finally:
            remote.cancel()
            if local is not None:
                local.cancel()

    async def _encode(self, job: Job, tensors: Tensors, outputs: tuple[str, ...], record: Record) -> list[wire.Tensor]:
        if job.codec == SOURCE:
            return [job.photo.as_file(job.model.manifest.input)]
        feeds = {name: tensors[name] for name in job.model.needed(tuple(tensors), outputs)}
        timed = await self._lane.run(
            lambda: [encode_tensor(name, array, *codec_of(job, name)) for name, array in feeds.items()]
        )
        record.add("encode_s", timed.seconds)
        return timed.value

    async def _ask(
        self, job: Job, companion: Companion, inputs: list[wire.Tensor], outputs: tuple[str, ...]
    ) -> RemoteAnswer:
        answer = await companion.infer(job.model.manifest.name, job.model.digest, inputs, outputs)
        try:
            return replace(answer, outputs=_checked(job, answer.outputs, outputs))
        except CompanionFailure as failure:
            companion.note_failure(failure)
            raise

    @staticmethod
    def _predicted_wait_s(job: Job, companion: Companion, inputs: list[wire.Tensor]) -> float:
        state = companion.state_for(job.model.digest)
        return state.offset_s + _size(inputs) * state.s_per_byte + state.queue_s + job.tail_s * state.speed

    def _patience_s(self, job: Job, predicted_s: float, record: Record) -> float:
        floor_s = self._floor_s
        if job.fallback == "fail":
            # There is nothing to start here, so nothing is won by giving up early.
            floor_s = max(floor_s, _PATIENT_S)
        elif job.sparing:
            floor_s = max(floor_s, lost_after_s(predicted_wait_s=predicted_s, patience=self._patience))
        return local_start_s(
            deadline_s=None if job.deadline_s is None else job.deadline_s - record.elapsed_s(),
            local_tail_s=0.0 if job.fallback == "fail" else job.local_tail_s,
            predicted_wait_s=predicted_s,
            patience=self._patience,
            floor_s=floor_s,
        )

    async def _give_up(self, job: Job, stage: Stage, tensors: Tensors, record: Record, why: str) -> Tensors:
        if job.fallback == "fail":
            raise CompanionUnavailable(f"{why}, and the call said fallback=fail")
        return self._finished_here(job, stage, await self._finish_here(job, tensors, record), record, why)

    async def _finish_here(self, job: Job, tensors: Tensors, record: Record) -> Tensors:
        if not tensors:
            await self._prepare(job, tensors, record)
        return await self._run_layers(job, tensors, (job.model.manifest.output,), "local_tail_s", record)

    @staticmethod
    def _finished_here(job: Job, stage: Stage, outputs: Tensors, record: Record, why: str) -> Tensors:
        record.ran += "D" * (len(job.model.manifest.layers) - stage.first)
        record.failure = why
        return outputs


def _size(inputs: list[wire.Tensor]) -> int:
    return sum(len(tensor.data) for tensor in inputs)


def codec_of(job: Job, tensor: str) -> tuple[str, int | None]:
    """The codec of one tensor of a job: a placement may send the image at one crossing and features at the next."""
    if tensor == job.model.manifest.input:
        return (job.codec if job.codec in IMAGE_CODECS else "u8"), None
    return ("f32", None) if job.codec in IMAGE_CODECS else (job.codec, job.channel_axis)


def encode_tensor(
    name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], codec: str, axis: int | None
) -> wire.Tensor:
    """A feature as it travels. Raises `CodecError` where the codec cannot hold it."""
    encoded = encode(array, codec, axis)
    tensor = wire.Tensor.from_array(name, array)
    return wire.Tensor(name, tensor.datatype, tensor.shape, encoded.payload, encoded.parameters)


def _checked(job: Job, outputs: Tensors, wanted: tuple[str, ...]) -> Tensors:
    """The tensors asked for, each of the right type and shape and free of NaN; else it is no answer."""
    for name in wanted:
        expected = job.model.network.tensor(name)
        array = outputs.get(name)
        if array is None or array.dtype != expected.dtype:
            raise CompanionFailure(FailureReason.NONSENSE, f"the companion's answer has no usable tensor {name}")
        fits = len(array.shape) == len(expected.shape) and all(
            wanted in (None, size) for wanted, size in zip(expected.shape, array.shape, strict=True)
        )
        if not fits or array.nbytes != expected.nbytes:
            raise CompanionFailure(FailureReason.NONSENSE, f"the companion's {name} has the shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CompanionFailure(FailureReason.NONSENSE, f"the companion's {name} is not finite")
    return {name: outputs[name] for name in wanted}


def _why(remote: asyncio.Task[RemoteAnswer], patience_s: float) -> str:
    if not remote.done():
        return f"the companion did not answer within {patience_s * 1e3:.0f} ms"
    error = remote.exception()
    if isinstance(error, CompanionFailure):
        return str(error)
    raise error or AssertionError("a companion that answered did not fail")
