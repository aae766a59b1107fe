"""What a network really answers, for each frame and each way in which the network may be split.

ONNX Runtime computes an answer once, through the package's own cuts and codecs; answers are kept on the disk.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collab_sdk.vocabulary import Precision
from collabd.atomic_file import replace_file
from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.package.manifest import Cut
from collabd.catalog.package.package import Package
from collabd.codec import LOSSLESS
from collabd.config import DeviceConfig, state_dir
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.engine import Engine, keys_of
from collabd.limits.cores import usable_cores
from collabd.planning import Candidate
from collabd.profiling.calibrate import one_by_one, there_and_back
from collabd.simulation.pictures import Frames, ShownPictures
from collabd.tasks.tensors import Outputs

# A codec that only the reference policies use: features in fp32, as in memory.
RAW = "raw"
_BATCH = 32
_CACHE_BYTES = 1 << 30
# So many files of answers stay, the newest.
_KEPT = 200
# The entry of a file that says which frames the answers are of.
_FRAMES = "frames of the answers"


class AnswerRow(NamedTuple):
    """A way to compute an answer. All that changes the answer stands here."""

    cut: str
    codec: str
    head: Precision = Precision.FP32
    tail: Precision = Precision.FP32

    @classmethod
    def of_plan(cls, plan: Candidate, *, finished_here: bool) -> AnswerRow:
        """The row of a plan. A device that finishes by itself goes on with the features as they are."""
        return cls.over(plan.cut, NO_CODEC if finished_here else plan.codec, plan.head, plan.tail)

    @classmethod
    def over(cls, cut: str, codec: str, *precisions: Precision) -> AnswerRow:
        """The row of a crossing, with the precisions of head and tail. Codecs without loss are alike."""
        return cls(cut, NO_CODEC if codec in LOSSLESS | {RAW} else codec, *precisions)


UNSPLIT = AnswerRow(LOCAL_CUT, NO_CODEC)


class Answers:
    """The answers of one package for frames of these pictures."""

    def __init__(self, package: Package, pictures: ShownPictures) -> None:
        networks = package.networks()
        self._network = networks[Precision.FP32]
        self._manifest = package.manifest
        self._cuts = {cut.name: cut for cut in package.manifest.cuts}
        self._pictures = pictures
        self._directory = state_dir(DeviceConfig(), "collabctl") / "answers"
        self._digest = package.digest
        self._engine = Engine(threads=usable_cores(), cache_bytes=_CACHE_BYTES)
        self._keys = keys_of(package.digest, networks)
        for precision, key in self._keys.items():
            self._engine.add(key, networks[precision])
        self._batch = min(_BATCH, rows_together(effort(self._network))) if package.manifest.dynamic_batch else 1
        # Of each row the frames, in order, and the answers to them.
        self._known: dict[AnswerRow, tuple[Frames, Outputs]] = {}

    def has(self, row: AnswerRow) -> bool:
        """Whether it is a way with one crossing or none. Others are not computed."""
        return row.cut == LOCAL_CUT or row.cut in self._cuts

    def of(self, row: AnswerRow, frames: Frames) -> Outputs:
        """The outputs for each of the frames, stacked."""
        if row.codec == NO_CODEC and row.cut != LOCAL_CUT and not self._cuts[row.cut].head_layers:
            row = row._replace(cut=LOCAL_CUT)
        known, outputs = self._with(row, np.unique(frames))
        places = np.searchsorted(known, frames)
        return {name: array[places] for name, array in outputs.items()}

    def _with(self, row: AnswerRow, wanted: Frames) -> tuple[Frames, Outputs]:
        if row not in self._known:
            self._known[row] = self._stored(row)
        known, outputs = self._known[row]
        new = np.setdiff1d(wanted, known)
        if len(new):
            parts = [outputs, *self._computed(row, new)] if len(known) else [*self._computed(row, new)]
            frames = np.concatenate([known, new])
            order = np.argsort(frames)
            joined = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[-1]}
            self._known[row] = frames[order], joined
            self._store(row)
        return self._known[row]

    def _computed(self, row: AnswerRow, frames: Frames) -> Iterator[Outputs]:
        (source,) = self._network.graph.inputs
        for start in range(0, len(frames), self._batch):
            pixels = np.concatenate([self._pictures.frame(frame) for frame in frames[start : start + self._batch]])
            yield self._answered(row, {source: pixels}, len(pixels))

    def _answered(self, row: AnswerRow, pixels: Outputs, images: int) -> Outputs:
        if row.cut == LOCAL_CUT:
            return self._run(row.tail, pixels, self._network.graph.outputs, images=images)
        cut = self._cuts[row.cut]
        made = [name for name in cut.tensors if name not in pixels]
        alive = {**pixels, **(self._engine.run(self._keys[row.head], pixels, made) if made else {})}
        crossing, outputs = self._network.behind(cut.tensors)
        arrived = {name: alive[name] for name in crossing}
        if row.codec != NO_CODEC:
            way = partial(_arrived, images=images, codec=row.codec, axis=_axis(cut, row))
            arrived = {name: way(each) for name, each in arrived.items()}
        early = {name: one_by_one(alive[name], images) for name in self._network.graph.outputs if name in alive}
        return {**early, **self._run(row.tail, arrived, outputs, images=images)}

    def _run(self, precision: Precision, feeds: Outputs, outputs: Sequence[str], *, images: int) -> Outputs:
        made = self._engine.run(self._keys[precision], feeds, outputs)
        return {name: one_by_one(array, images) for name, array in made.items()}

    def _path(self, row: AnswerRow) -> Path:
        key = repr((self._digest, self._pictures.digest, *row))
        return self._directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"

    def _stored(self, row: AnswerRow) -> tuple[Frames, Outputs]:
        try:
            with np.load(self._path(row), allow_pickle=False) as file:
                return file[_FRAMES], {name: file[name] for name in self._manifest.output_names}
        except FileNotFoundError:
            return np.empty(0, np.int64), {}

    def _store(self, row: AnswerRow) -> None:
        frames, outputs = self._known[row]
        packed = io.BytesIO()
        content: dict[str, Any] = {_FRAMES: frames, **outputs}
        np.savez(packed, **content)
        self._directory.mkdir(parents=True, exist_ok=True)
        replace_file(self._path(row), packed.getvalue())
        for old in sorted(self._directory.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]:
            old.unlink(missing_ok=True)


def _arrived(array: np.ndarray, *, images: int, codec: str, axis: int | None) -> np.ndarray:
    """A tensor after its way. Each image travels on its own."""
    alone = [array[index : index + 1] for index in range(images)] if images > 1 else [array]
    return np.concatenate([there_and_back(each, codec, axis)[0] for each in alone])


def _axis(cut: Cut, row: AnswerRow) -> int | None:
    """The axis along which the codec of this row has its scales."""
    head = row.head if cut.head_layers else Precision.FP32
    wanted = (row.codec, head, row.tail)
    return next(each.channel_axis for each in cut.codecs if (each.codec, each.head, each.tail) == wanted)
