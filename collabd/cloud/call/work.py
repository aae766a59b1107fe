"""Work for the engine, made of a request: every tensor checked against the graph and decoded, images prepared."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.channels import Channels, channels_of
from collab_sdk.errors import InvalidRequest, InvalidTensor, RequestTooLarge
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Picture
from collabd.cloud.models.model import CloudModel
from collabd.imaging import OpenImage, prepare

Tensors = dict[str, npt.NDArray[Any]]

_SCAN = b"\xff\xda"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run asked for. Work of equal `group` may run together, joined along axis 0; None: it runs alone.

    The engine knows the network, in its `precision`, by `key`. `rows` is the length of axis 0 in every input, or 1
    where the work runs alone; a joint run holds at most `most_rows`.
    """

    key: str
    feeds: Tensors
    outputs: tuple[str, ...]
    precision: Precision
    group: Hashable | None
    rows: int
    most_rows: int = sys.maxsize


@dataclass(frozen=True, kw_only=True)
class Done:
    """The outputs, and what the run took: `queue_s` is from submission to its start; `batch` rows ran together."""

    outputs: Tensors
    queue_s: float
    compute_s: float
    batch: int


@dataclass(frozen=True)
class RequestLimits:
    """The most that one request may bring: `batch` images, and `decoded_bytes` in all its tensors once decoded."""

    batch: int
    decoded_bytes: int


def work_of(request: wire.InferRequest, model: CloudModel, limits: RequestLimits) -> Work:
    """What `request` asks of `model`. Raises `InvalidRequest`, `InvalidTensor`, `InvalidImage`, `RequestTooLarge`."""
    outputs = tuple(output.name for output in request.outputs) or model.manifest.output_names
    names = (*(tensor.name for tensor in request.inputs), *outputs)
    for name in names:
        model.tensor(name)
    asked = precision_of(request)
    model.check_precision(asked, names)
    precision = model.computes(asked)
    if (pixels := _image(request, model)) is not None:
        return _work(model, {model.manifest.input_names[0]: pixels}, outputs, precision=precision, rows=1)
    _check_size(request, limits)
    tensors = sorted(request.inputs, key=lambda tensor: tensor.name)
    used = model.needed(tuple(tensor.name for tensor in tensors), outputs)
    feeds: Tensors = {}
    batches: set[int] = set()
    for tensor in tensors:
        array, batch = model.array(tensor)
        # In fp32 such values show in the answer; integers would hide them.
        if precision == Precision.INT8 and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidTensor(f"tensor {tensor.name!r} is not finite, and int8 knows finite values only")
        if tensor.name in used:
            feeds[tensor.name] = array
        if batch is not None:
            batches.add(batch)
    rows = _one_batch(batches, min(limits.batch, model.most_rows))
    return _work(model, feeds, outputs, precision=precision, rows=rows)


def precision_of(request: wire.InferRequest) -> Precision:
    """In which precision it is to be computed. Raises `InvalidRequest` for one that there is not."""
    stated = request.parameters.get("precision", Precision.FP32)
    if stated not in set(Precision):
        raise InvalidRequest(f"precision must be {' or '.join(Precision)}, not {str(stated)[:40]!r}")
    return Precision(stated)


def in_fp32(work: Work, model: CloudModel) -> Work:
    """The same work in fp32, where it was to be done in a reduced precision."""
    return _work(model, work.feeds, work.outputs, precision=Precision.FP32, rows=work.rows)


def quick_work_of(request: wire.InferRequest, model: CloudModel, limits: RequestLimits, *, pixels: int) -> Work | None:
    """As `work_of`, for a request of few bytes; None if these are a file of a picture of more than so many `pixels`."""
    takes_long = model.manifest.picture is not None and _is_larger_picture(request, pixels)
    return None if takes_long else work_of(request, model, limits)


def _is_larger_picture(request: wire.InferRequest, pixels: int) -> bool:
    tensor = request.inputs[0]
    if tensor.datatype != "BYTES" or len(files := tensor.to_bytes_list()) != 1:
        return False
    width, height = OpenImage(files[0]).size
    # Decoding goes over all pixels once for each scan of a JPEG.
    return width * height * max(files[0].count(_SCAN), 1) > pixels


def _image(request: wire.InferRequest, model: CloudModel) -> npt.NDArray[np.uint8] | None:
    """The network's input, made of an encoded file or of pixels of any size; None if the request holds neither."""
    tensor, spec = request.inputs[0], model.manifest.picture
    if spec is None or len(request.inputs) != 1 or tensor.name != model.manifest.input_names[0]:
        return None
    if tensor.datatype == "BYTES":
        files = tensor.to_bytes_list()
        if len(files) != 1:
            raise InvalidTensor(f"send one encoded image in each request, not {len(files)}")
        return prepare(files[0], spec)
    channels = channels_of((request.parameters | tensor.parameters).get("channels", "rgb"))
    is_input = "codec" in tensor.parameters or tensor.shape[1:] == (spec.height, spec.width, 3)
    if tensor.datatype != "UINT8" or (channels == Channels.RGB and is_input):
        return None
    return _fitted(tensor, channels, spec)


def _fitted(tensor: wire.Tensor, channels: Channels, spec: Picture) -> npt.NDArray[np.uint8]:
    if len(tensor.shape) == 4 and tensor.shape[0] != 1:
        raise InvalidTensor(
            f"several images in one request must be RGB of the network's size, {spec.height} x {spec.width}; "
            f"these are {channels}, of the shape {list(tensor.shape)}"
        )
    return prepare(tensor.to_array(), spec, channels)


def decoded_bytes(request: wire.InferRequest) -> int:
    """The bytes of the tensors once decoded. Files count as they are, since only a small picture is kept of them."""
    return sum(
        len(tensor.data) if tensor.datatype == "BYTES" else math.prod(tensor.shape) * tensor.dtype.itemsize
        for tensor in request.inputs
    )


def _check_size(request: wire.InferRequest, limits: RequestLimits) -> None:
    """Raise `RequestTooLarge` before anything is decoded: a few bytes can stand for gigabytes of zeros."""
    size = decoded_bytes(request)
    if size > limits.decoded_bytes:
        raise RequestTooLarge(f"the decoded tensors would take {size} bytes, more than {limits.decoded_bytes}")


def _one_batch(batches: set[int], most: int) -> int:
    if len(batches) > 1:
        raise InvalidTensor(f"the tensors have different batch sizes: {sorted(batches)}")
    batch = max(batches, default=1)
    if batch > most:
        raise InvalidTensor(f"a batch of {batch} is above the limit of {most}: send fewer images in each request")
    return batch


def _work(model: CloudModel, feeds: Tensors, outputs: tuple[str, ...], *, precision: Precision, rows: int) -> Work:
    key = model.keys[precision]
    group = (key, tuple(feeds), outputs) if model.joinable.issuperset((*feeds, *outputs)) else None
    return Work(
        key=key, feeds=feeds, outputs=outputs, precision=precision, group=group, rows=rows, most_rows=model.most_rows
    )
