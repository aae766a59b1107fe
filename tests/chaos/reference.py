"""What the answers must be: by ONNX Runtime on the packages' graphs, without collabd's engine and partitioner.

If the features travelled lossless, the answer must be that of the unsplit network. If a codec rounded them, the answer
must be that of the same split with the same codec, computed here. So the codec's loss cannot hide a wrong answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.package.package import Package
from collabd.codec import IMAGE_CODECS, decode, encode
from collabd.imaging import prepare
from tests.chaos.clients import Answer, pixels_of
from tests.chaos.orders import Form, Order

# Probabilities. A batch or a part of a graph adds its numbers in another order than the whole graph.
LOSSLESS = 1e-4
# A value at the border of two levels may be rounded to the other one.
LOSSY = 1e-3
_EXACT = {"none", "f32", "u8", "source"}

Tensors = dict[str, npt.NDArray[Any]]
Scores = npt.NDArray[np.float32]


class Reference:
    """Right answers for every image, each computed once."""

    def __init__(self, packages: Mapping[str, Package], images: Mapping[str, bytes]) -> None:
        self._networks = {name: _Network(package) for name, package in packages.items()}
        self._images = images
        self._known: dict[tuple[str, ...], Scores] = {}

    def error(self, order: Order, answer: Answer) -> tuple[float, float]:
        """The greatest error of the scores, and the error that is allowed."""
        ways = list(_ways(answer))
        tolerance = LOSSLESS if ways == [()] else LOSSY
        right = [self._scores(order, answer.ran, way) for way in ways]
        return min(_distance(scores, answer.scores) for scores in right), tolerance

    def _scores(self, order: Order, ran: str, codecs: tuple[str, ...]) -> Scores:
        key = (order.model, order.image, order.form, *((ran, *codecs) if codecs else ()))
        if key not in self._known:
            network = self._networks[order.model]
            image = network.prepared(self._images[order.image], order.form)
            self._known[key] = network.split(image, ran, codecs) if codecs else network.whole(image)
        return self._known[key]


def _ways(answer: Answer) -> Iterator[tuple[str, ...]]:
    """The codec of each crossing; where a plan has several codecs, whichever it may have been. (): none that rounds."""
    codecs = answer.codec.split("+")
    crossings = sum(side == "C" for side, _ in itertools.groupby(answer.ran))
    if not crossings or _EXACT.issuperset(codecs):
        yield ()
    else:
        yield from itertools.product(codecs, repeat=crossings)


def _distance(one: Scores, other: Scores) -> float:
    return float(np.abs(one - other).max()) if one.shape == other.shape else np.inf


class _Network:
    def __init__(self, package: Package) -> None:
        self.manifest = package.manifest
        self._path = package.path / "model.onnx"
        self._sessions: dict[tuple[tuple[str, ...], tuple[str, ...]], ort.InferenceSession] = {}

    def prepared(self, file: bytes, form: Form) -> npt.NDArray[np.uint8]:
        return prepare(file if form == "file" else pixels_of(file), self.manifest.preprocessing)

    def whole(self, image: npt.NDArray[np.uint8]) -> Scores:
        names = (self.manifest.input,), (self.manifest.output,)
        return self._probabilities(self._run({self.manifest.input: image}, *names)[self.manifest.output])

    def split(self, image: npt.NDArray[np.uint8], ran: str, codecs: tuple[str, ...]) -> Scores:
        """Run stage by stage: the device keeps its exact tensors, the companion computes from the decoded features."""
        layers, tensors, ways = self.manifest.layers, {self.manifest.input: image}, iter(codecs)
        first = 0
        for side, letters in itertools.groupby(ran):
            last = first + len(list(letters))
            names = layers[first - 1].tensors if first else (self.manifest.input,)
            known = {name: tensors[name] for name in names}
            if side == "C":
                known = self._travelled(known, first, next(ways))
            wanted = (self.manifest.output,) if last == len(layers) else layers[last - 1].tensors
            missing = tuple(name for name in wanted if name not in tensors)
            tensors |= self._run(known, tuple(known), missing)
            first = last
        return self._probabilities(tensors[self.manifest.output])

    def _travelled(self, tensors: Tensors, first: int, codec: str) -> Tensors:
        cut = next((cut for cut in self.manifest.cuts if cut.head_layers == first), None)
        axes = {} if cut is None else {figures.codec: figures.channel_axis for figures in cut.codecs}
        return {name: self._rounded(name, array, codec, axes) for name, array in tensors.items()}

    def _rounded(
        self, name: str, array: npt.NDArray[Any], codec: str, axes: Mapping[str, int | None]
    ) -> npt.NDArray[Any]:
        if name == self.manifest.input:
            codec = codec if codec in IMAGE_CODECS else "u8"
        elif codec in {*IMAGE_CODECS, "source"}:
            codec = "f32"
        encoded = encode(array, codec, axes.get(codec))
        return decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)

    def _run(self, feeds: Tensors, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Tensors:
        if not outputs:
            return {}
        session = self._session(inputs, outputs)
        taken = {node.name for node in session.get_inputs()}
        found = session.run(list(outputs), {name: array for name, array in feeds.items() if name in taken})
        return dict(zip(outputs, found, strict=True))

    def _session(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ort.InferenceSession:
        if (inputs, outputs) not in self._sessions:
            whole = inputs == (self.manifest.input,) and outputs == (self.manifest.output,)
            part = self._path.read_bytes() if whole else self._extractor.extract_model(list(inputs), list(outputs))
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            model = part if isinstance(part, bytes) else part.SerializeToString()
            self._sessions[inputs, outputs] = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return self._sessions[inputs, outputs]

    @cached_property
    def _extractor(self) -> onnx.utils.Extractor:
        return onnx.utils.Extractor(onnx.shape_inference.infer_shapes(onnx.load(self._path)))

    def _probabilities(self, output: npt.NDArray[Any]) -> Scores:
        scores = output[0].astype(np.float64)
        if self.manifest.output_kind == ScoreKind.LOGITS:
            scores = np.exp(scores - scores.max())
            scores /= scores.sum()
        return np.asarray(scores, np.float32)
