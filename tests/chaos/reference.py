"""What the answers must be: by ONNX Runtime on the packages' graphs, without collabd's engine and partitioner.

If the features travelled lossless, the answer must be that of the unsplit network. If a codec rounded them, the answer
must be that of the same split with the same codec, computed here. So the codec's loss cannot hide a wrong answer. If
head or tail computed in int8, the answer must be that of the same head and tail joined, wherever they ran.
What a little network answered must be its own answer, in the precision in which it was asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from collab_sdk.vocabulary import Precision, ScoreKind
from collabd.catalog.package.manifest import SURE
from collabd.catalog.package.package import GRAPHS, Package
from collabd.codec import IMAGE_CODECS, decode, encode
from collabd.imaging import prepare
from tests.chaos.clients import Answer, pixels_of
from tests.chaos.orders import Form, Order
from tests.plain_session import plain_session

# Probabilities. A batch or a part of a graph adds its numbers in another order than the whole graph.
LOSSLESS = 1e-4
# A value at the border of two levels may be rounded to the other one.
LOSSY = 1e-3
# The same at each quantisation inside an int8 graph, between which some layers compute in fp32.
QUANTISED = 2e-2
_FP32 = Precision.FP32
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
        if answer.answered_by is not None:
            # The little network runs as a whole, on the device.
            precision = Precision(answer.little_precision or Precision.FP32)
            whole = self._whole(replace(order, model=answer.answered_by), precision)
            return _distance(whole, answer.scores), LOSSLESS if precision == Precision.FP32 else QUANTISED
        ways = list(_ways(answer))
        if answer.precision != Precision.FP32:
            right, tolerance = [self._joined(order, answer, way) for way in ways], QUANTISED
        else:
            right = [self._scores(order, answer.ran, way) for way in ways]
            tolerance = LOSSLESS if ways == [()] else LOSSY
        return min(_distance(scores, answer.scores) for scores in right), tolerance

    def is_sure(self, order: Order) -> bool:
        """Whether the unsplit fp32 network is sure of the picture, so that fidelity counts it."""
        return float(self._whole(order, Precision.FP32).max()) >= SURE

    def agrees(self, order: Order, answer: Answer) -> bool:
        """Whether the answer's first label is that of the unsplit fp32 network of the call."""
        return int(answer.scores.argmax()) == int(self._whole(order, Precision.FP32).argmax())

    def _whole(self, order: Order, precision: Precision) -> Scores:
        key = (order.model, order.image, order.form, precision)
        if key not in self._known:
            network = self._networks[order.model]
            image = network.prepared(self._images[order.image], order.form)
            self._known[key] = network.joined(image, 0, (), precision, precision)
        return self._known[key]

    def _joined(self, order: Order, answer: Answer, codecs: tuple[str, ...]) -> Scores:
        key = (order.model, order.image, order.form, answer.precision, answer.placement, *codecs)
        if key not in self._known:
            network = self._networks[order.model]
            image = network.prepared(self._images[order.image], order.form)
            head, _, tail = answer.precision.partition("/")
            layers = answer.placement.count("D")
            self._known[key] = network.joined(image, layers, codecs, Precision(head), Precision(tail or head))
        return self._known[key]

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
        self._path = package.path
        self._sessions: dict[tuple[Precision, tuple[str, ...], tuple[str, ...]], ort.InferenceSession] = {}
        self._extractors: dict[Precision, onnx.utils.Extractor] = {}

    def prepared(self, file: bytes, form: Form) -> npt.NDArray[np.uint8]:
        return prepare(file if form == "file" else pixels_of(file), self.manifest.require_picture())

    def whole(self, image: npt.NDArray[np.uint8]) -> Scores:
        names = self.manifest.input_names, self.manifest.output_names
        return self._probabilities(
            self._run({self.manifest.input_names[0]: image}, *names)[self.manifest.output_names[0]]
        )

    def split(self, image: npt.NDArray[np.uint8], ran: str, codecs: tuple[str, ...]) -> Scores:
        """Run stage by stage: the device keeps its exact tensors, the companion computes from the decoded features."""
        layers, tensors, ways = self.manifest.layers, {self.manifest.input_names[0]: image}, iter(codecs)
        first = 0
        for side, letters in itertools.groupby(ran):
            last = first + len(list(letters))
            names = layers[first - 1].tensors if first else self.manifest.input_names
            known = {name: tensors[name] for name in names}
            if side == "C":
                known = self._travelled(known, first, next(ways))
            wanted = self.manifest.output_names if last == len(layers) else layers[last - 1].tensors
            missing = tuple(name for name in wanted if name not in tensors)
            tensors |= self._run(known, tuple(known), missing)
            first = last
        return self._probabilities(tensors[self.manifest.output_names[0]])

    def joined(
        self, image: npt.NDArray[np.uint8], layers: int, codecs: tuple[str, ...], head: Precision, tail: Precision
    ) -> Scores:
        """The first `layers` in one precision, and the others behind them in another."""
        manifest = self.manifest
        known: Tensors = {manifest.input_names[0]: image}
        if 0 < layers < len(manifest.layers):
            crossing = manifest.layers[layers - 1].tensors
            made = self._run(known, manifest.input_names, tuple(set(crossing) - known.keys()), head)
            known = {name: (known | made)[name] for name in crossing}
        for codec in codecs:
            known = self._travelled(known, layers, codec, head, tail)
        missing = tuple(name for name in manifest.output_names if name not in known)
        outputs = known | self._run(known, tuple(known), missing, tail)
        return self._probabilities(outputs[manifest.output_names[0]])

    def _travelled(
        self, tensors: Tensors, first: int, codec: str, head: Precision = _FP32, tail: Precision = _FP32
    ) -> Tensors:
        cut = next((cut for cut in self.manifest.cuts if cut.head_layers == first), None)
        kept = [] if cut is None else [each for each in cut.codecs if each.tail == tail]
        axes = {each.codec: each.channel_axis for each in kept if each.head == head or not first}
        return {name: self._rounded(name, array, codec, axes) for name, array in tensors.items()}

    def _rounded(
        self, name: str, array: npt.NDArray[Any], codec: str, axes: Mapping[str, int | None]
    ) -> npt.NDArray[Any]:
        if name == self.manifest.input_names[0]:
            codec = codec if codec in IMAGE_CODECS else "u8"
        elif codec in {*IMAGE_CODECS, "source"}:
            codec = "f32"
        encoded = encode(array, codec, axes.get(codec))
        return decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)

    def _run(
        self, feeds: Tensors, inputs: tuple[str, ...], outputs: tuple[str, ...], precision: Precision = _FP32
    ) -> Tensors:
        if not outputs:
            return {}
        session = self._session(precision, inputs, outputs)
        taken = {node.name for node in session.get_inputs()}
        found = session.run(list(outputs), {name: array for name, array in feeds.items() if name in taken})
        return dict(zip(outputs, found, strict=True))

    def _session(self, precision: Precision, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ort.InferenceSession:
        key = precision, inputs, outputs
        if key not in self._sessions:
            whole = inputs == self.manifest.input_names and outputs == self.manifest.output_names
            part: bytes | onnx.ModelProto = (
                (self._path / GRAPHS[precision]).read_bytes()
                if whole
                else self._extractor(precision).extract_model(list(inputs), list(outputs))
            )
            self._sessions[key] = plain_session(part if isinstance(part, bytes) else part.SerializeToString())
        return self._sessions[key]

    def _extractor(self, precision: Precision) -> onnx.utils.Extractor:
        if precision not in self._extractors:
            whole = onnx.shape_inference.infer_shapes(onnx.load(self._path / GRAPHS[precision]))
            self._extractors[precision] = onnx.utils.Extractor(whole)
        return self._extractors[precision]

    def _probabilities(self, output: npt.NDArray[Any]) -> Scores:
        scores = output[0].astype(np.float64)
        if self.manifest.output_kind == ScoreKind.LOGITS:
            scores = np.exp(scores - scores.max())
            scores /= scores.sum()
        return np.asarray(scores, np.float32)
