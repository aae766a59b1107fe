"""The messages of Frigate's detector `zmq`: what it asks, and what it is told.

Each is one frame or two: a JSON object, and bytes. Frigate asks whether a model is there, sends one that is not, and
then sends one tensor after another. Source: frigate/detectors/plugins/zmq_ipc.py of Frigate 0.18.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidRequest, InvalidTensor

# Frigate's own has about 80 bytes.
LONGEST_HEADER = 4096
# Rows of an answer, and numbers in a row.
ROWS = (20, 6)
_NOTHING = np.zeros(ROWS, np.float32)

Buffer: TypeAlias = bytes | memoryview
Side = Annotated[int, msgspec.Meta(ge=1, le=65535)]


@dataclass(frozen=True)
class ModelWanted:
    """Is the model of this file there? Else Frigate sends it."""

    file_name: str


@dataclass(frozen=True, eq=False)
class ModelSent:
    """The model of this file. `content`: that of the file."""

    file_name: str
    content: Buffer


@dataclass(frozen=True, eq=False)
class TensorQuestion:
    """What is in this tensor, uint8 or float32, for a model that Frigate takes for one of `model_type`?"""

    tensor: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    model_type: str


FrigateMessage: TypeAlias = ModelWanted | ModelSent | TensorQuestion


class _FrigateHeader(msgspec.Struct, frozen=True):
    model_request: bool = False
    model_data: bool = False
    model_name: str = ""
    shape: Annotated[tuple[Side, ...], msgspec.Meta(max_length=4)] = ()
    dtype: Literal["uint8", "float32"] = "uint8"
    model_type: str = ""


_HEADERS = msgspec.json.Decoder(_FrigateHeader)


def read(frames: Sequence[Buffer]) -> FrigateMessage:
    """The message in these frames. Raises `InvalidRequest`, and `InvalidTensor` for a tensor of another size."""
    if not frames or len(frames[0]) > LONGEST_HEADER:
        raise InvalidRequest(f"the first frame must be a JSON object of at most {LONGEST_HEADER} bytes")
    try:
        header = _HEADERS.decode(frames[0])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the first frame is no header of Frigate's detector zmq: {error}") from error
    if header.model_request:
        return ModelWanted(header.model_name)
    if len(frames) < 2:
        raise InvalidRequest("the second frame is missing: that of a tensor, or of a model's file")
    if header.model_data:
        return ModelSent(header.model_name, frames[1])
    return TensorQuestion(_tensor(header, frames[1]), header.model_type)


def _tensor(header: _FrigateHeader, content: Buffer) -> npt.NDArray[Any]:
    dtype, needed = np.dtype(header.dtype), math.prod(header.shape)
    if not header.shape or len(content) != needed * dtype.itemsize:
        raise InvalidTensor(
            f"a tensor {header.dtype} {list(header.shape)} has {needed * dtype.itemsize} bytes; {len(content)} came"
        )
    return np.frombuffer(content, dtype).reshape(header.shape)


def found(rows: npt.NDArray[np.float32]) -> list[bytes]:
    """The frames that answer a question with `rows`, float32 [20, 6]."""
    return _answer(rows, {})


def nothing(why: str) -> list[bytes]:
    """The frames for a question without an answer. Frigate takes them for a picture with nothing in it."""
    return _answer(_NOTHING, {"error": why})


def about_a_model(file_name: str, *, there: bool, ready: bool, message: str, was_sent: bool = False) -> list[bytes]:
    """The frame that says whether a model is `there`, or was kept if it `was_sent`, and `ready` for questions."""
    told = {"model_saved" if was_sent else "model_available": there, "model_loaded": ready}
    return [_json({**told, "model_name": file_name, "message": message})]


def _answer(rows: npt.NDArray[np.float32], more: dict[str, str]) -> list[bytes]:
    return [_json({"shape": ROWS, "dtype": "float32", **more}), rows.astype("<f4", copy=False).tobytes()]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
