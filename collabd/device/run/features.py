"""Encodes the tensors of a crossing, and checks the tensors that come back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collabd.codec import IMAGE_CODECS, LOSSLESS, CodecError, decode, encode
from collabd.device.companions.answers import Tensors
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.job.job import Crossing
from collabd.device.models.model import DeviceModel
from collabd.http.parameters import PACKED


def encode_features(features: Tensors, crossing: Crossing, model: DeviceModel) -> list[wire.Tensor]:
    """Encode the tensors of a crossing for the way.

    Raises `CodecError` when the codec cannot hold a tensor, or when a tensor holds NaN. The network made that NaN, so
    such tensors are not sent: the companion would get the blame for an answer with NaN.
    """
    image = None if model.manifest.picture is None else model.inputs[0]
    return [_encoded(name, array, crossing, is_image=name == image) for name, array in features.items()]


def _encoded(
    name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], crossing: Crossing, *, is_image: bool
) -> wire.Tensor:
    codec, axis = _codec_of(crossing, is_image=is_image)
    # Codecs that change the values look at them anyway, and refuse NaN. The largest of values with NaN is NaN.
    unseen = codec in LOSSLESS or array.dtype != np.float32
    if unseen and array.dtype.kind == "f" and array.size and np.isnan(array.max()):
        raise CodecError(f"{name} holds NaN")
    encoded = encode(array, codec, axis)
    datatype = wire.datatype_of(array.dtype)
    return wire.Tensor(name, datatype, array.shape, data=encoded.payload, parameters=encoded.parameters)


def _codec_of(crossing: Crossing, *, is_image: bool) -> tuple[str, int | None]:
    """The codec and channel axis for one tensor of the crossing.

    A codec that the caller chose holds for all crossings, and one crossing may carry the image and features together.
    An image codec cannot encode features, and a feature codec cannot encode the image. Such a tensor goes without loss:
    the image as u8, features as f32.
    """
    if is_image:
        return (crossing.codec if crossing.codec in IMAGE_CODECS else "u8"), None
    return ("f32", None) if crossing.codec in IMAGE_CODECS else (crossing.codec, crossing.channel_axis)


def read_outputs(model: DeviceModel, wanted: tuple[str, ...], came: Sequence[wire.Tensor]) -> Tensors:
    """The wanted tensors, each of the right type and shape, and finite. Raises `CompanionFailure` otherwise."""
    by_name = {tensor.name: tensor for tensor in came}
    return {name: _read(model, name, by_name.get(name)) for name in wanted}


def _read(model: DeviceModel, name: str, tensor: wire.Tensor | None) -> npt.NDArray[np.generic]:
    expected = model.network.tensor(name)
    if tensor is None or tensor.datatype == "BYTES" or tensor.dtype != expected.dtype:
        raise CompanionFailure(FailureReason.NONSENSE, f"the companion's answer has no usable tensor {name}")
    fits = len(tensor.shape) == len(expected.shape) and all(
        wanted in (None, size) for wanted, size in zip(expected.shape, tensor.shape, strict=True)
    )
    if not fits or math.prod(tensor.shape) * expected.dtype.itemsize != expected.nbytes:
        raise CompanionFailure(FailureReason.NONSENSE, f"the companion's {name} has the shape {tensor.shape}")
    try:
        array = _unpacked(tensor) if name in model.packed else tensor.to_array()
    except (CodecError, wire.WireError) as error:
        raise CompanionFailure(FailureReason.NONSENSE, f"the companion's {name} cannot be read: {error}") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        # Pixels make no network overflow. Tensors of the caller may be infinite, or nearly.
        reason = FailureReason.NOT_FINITE if model.manifest.picture is None else FailureReason.NONSENSE
        raise CompanionFailure(reason, f"the companion's {name} is not finite")
    return array


def _unpacked(tensor: wire.Tensor) -> npt.NDArray[np.generic]:
    """A class map, which the companion may have compressed as it was asked to. No other codec is accepted."""
    if tensor.parameters.get("codec") != PACKED["codec"]:
        return tensor.to_array()
    return decode(tensor.data, tensor.parameters, dtype=tensor.dtype, shape=tensor.shape)
