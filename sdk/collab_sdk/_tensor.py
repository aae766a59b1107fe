"""A tensor as the protocol names and stores it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from collab_sdk._parameters import WireError

MAX_RANK = 16
MAX_TENSOR_BYTES = 512 * 2**20
MAX_STRINGS = 2**16

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_DATATYPES = {dtype: datatype for datatype, dtype in _DTYPES.items()}
_ELEMENT_LENGTH = struct.Struct("<I")
# Bytes of the length that stands before each element of a BYTES tensor.
LENGTH_BYTES = _ELEMENT_LENGTH.size


@dataclass
class Tensor:
    """A named tensor as it travels.

    ``datatype`` is OIP's name ("FP32", "UINT8", "BYTES", ...), ``shape`` that of the (decoded) tensor, and ``data`` the
    bytes: row-major elements; for BYTES each element behind its length as uint32; with a ``codec`` parameter a payload.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    _: KW_ONLY
    data: bytes | memoryview
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype of the (decoded) elements. WireError: BYTES, or no datatype of the protocol."""
        if self.datatype not in _DTYPES:
            raise WireError(f"tensor {self.name!r} is {self.datatype}, not an array")
        return _DTYPES[self.datatype]

    @classmethod
    def from_array(cls, name: str, array: NDArray[Any], parameters: Mapping[str, Any] | None = None) -> Self:
        """A tensor over the array's own memory (copied only if it is not contiguous). WireError: no such datatype."""
        datatype = _DATATYPES.get(array.dtype)
        if datatype is not None and array.size and array.flags.c_contiguous:
            return cls(name, datatype, array.shape, data=array.data.cast("B"), parameters=dict(parameters or {}))
        datatype = datatype_of(array.dtype)
        flat = np.asarray(array, dtype=_DTYPES[datatype], order="C").reshape(-1)
        return cls(name, datatype, array.shape, data=flat.view(np.uint8).data, parameters=dict(parameters or {}))

    def to_array(self) -> NDArray[Any]:
        """The elements as an array of ``shape``; it may share the message's memory and be read-only.

        WireError: a BYTES or encoded tensor, or a length that does not fit the shape.
        """
        if "codec" in self.parameters:
            raise WireError(f"tensor {self.name!r} is encoded as {self.parameters['codec']!r}: decode it first")
        dtype = self.dtype
        check_length(self)
        array = np.frombuffer(self.data, dtype=dtype).reshape(self.shape)
        # The JSON before the elements has any length, so their address may not be aligned.
        return array if array.flags.aligned else array.copy()

    @classmethod
    def from_bytes_list(
        cls, name: str, elements: Sequence[bytes | bytearray | memoryview], parameters: Mapping[str, Any] | None = None
    ) -> Self:
        """A BYTES tensor of shape [len(elements)]."""
        parts = (part for element in elements for part in (length_of(element), element))
        return cls(name, "BYTES", (len(elements),), data=b"".join(parts), parameters=dict(parameters or {}))

    def to_bytes_list(self) -> list[bytes]:
        """The elements of a BYTES tensor, row-major. WireError: another datatype, or lengths that do not fit."""
        if self.datatype != "BYTES":
            raise WireError(f"tensor {self.name!r} is {self.datatype}, not BYTES")
        return [bytes(element) for element in _elements(self)]


def length_of(element: bytes | bytearray | memoryview) -> bytes:
    """What stands before this element of a BYTES tensor."""
    return _ELEMENT_LENGTH.pack(len(element))


def datatype_of(dtype: np.dtype[Any]) -> str:
    """OIP's name of a numpy dtype. WireError: it has none."""
    datatype = _DATATYPES.get(dtype.newbyteorder("<"))
    if datatype is None:
        raise WireError(f"the protocol has no datatype for dtype {dtype}")
    return datatype


def checked_shape(name: str, datatype: str, shape: Any) -> tuple[int, ...]:
    """A shape from the wire. WireError: it is no list of sizes, or the tensor is larger than the protocol allows."""
    if datatype != "BYTES" and datatype not in _DTYPES:
        raise WireError(f"tensor {name!r}: unknown datatype {datatype!r}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise WireError(f"tensor {name!r}: shape must be a list of at most {MAX_RANK} sizes")
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        raise WireError(f"tensor {name!r}: a size in its shape is not a natural number")
    limit = MAX_STRINGS if datatype == "BYTES" else MAX_TENSOR_BYTES // _DTYPES[datatype].itemsize
    # A size of 0 must not hide the others: numpy refuses [0, 2**62, 4].
    if math.prod(max(size, 1) for size in shape) > limit:
        raise WireError(f"tensor {name!r}: its shape has more than {limit} elements")
    return tuple(shape)


def check_length(tensor: Tensor) -> None:
    """Check that a tensor without a codec has as many bytes as its shape needs. WireError: it has not."""
    if tensor.datatype == "BYTES":
        for _ in _elements(tensor):
            pass
    elif len(tensor.data) != (needed := math.prod(tensor.shape) * tensor.dtype.itemsize):
        raise WireError(f"tensor {tensor.name!r}: its data has {len(tensor.data)} bytes, but its shape needs {needed}")


def _elements(tensor: Tensor) -> Iterator[memoryview]:
    """The elements of a BYTES tensor. WireError: fewer or more elements than the shape needs."""
    rest = memoryview(tensor.data)
    for _ in range(math.prod(tensor.shape)):
        if len(rest) < _ELEMENT_LENGTH.size:
            raise WireError(f"tensor {tensor.name!r}: its data has fewer elements than its shape needs")
        end = _ELEMENT_LENGTH.size + _ELEMENT_LENGTH.unpack_from(rest)[0]
        if end > len(rest):
            raise WireError(f"tensor {tensor.name!r}: its last element is cut off")
        yield rest[_ELEMENT_LENGTH.size : end]
        rest = rest[end:]
    if rest:
        raise WireError(f"tensor {tensor.name!r}: its data has {len(rest)} bytes after the last element")
