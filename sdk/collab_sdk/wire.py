"""What client and daemons share on the wire: the Open Inference Protocol v2 with the binary tensor extension.

A message is one JSON object, then the bytes of its binary tensors, one after another and without padding. The header
``Inference-Header-Content-Length`` gives the length of the JSON in bytes. The parameter ``binary_data_size`` gives the
length of each binary tensor in bytes. Integers and floats are little-endian and row-major. Tensors may also come as
JSON lists under ``data``.

A tensor whose parameters hold ``codec`` carries an encoded payload: its datatype and shape are those of the decoded
tensor, and its length is whatever the codec made of it. Nothing that arrives is trusted: what is malformed raises
`WireError` and no other exception.

TCP's own checksum has 16 bits, and does not cover what happens inside the machines on the way. So every reply of a
companion carries the checksum of its body in ``Collab-Checksum``, and that of the request's body in
``Collab-Request-Checksum``. A device accepts an answer only if both match what it received and what it sent. The second
one also tells this request's answer from one left over from another request. A CRC protects against accidents, not
against people; TLS keeps those out.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeAlias

from collab_sdk._json_data import data_of, fill
from collab_sdk._message import (
    CALLER_MS,
    MAX_JSON_BYTES,
    PATIENCE_MS,
    WAITED_MS,
    Headers,
    Message,
    decode_error,
    decode_json,
    encode_error,
    member,
)
from collab_sdk._parameters import WireError, received, scalars
from collab_sdk._tensor import Tensor, check_length, checked_shape, datatype_of

__all__ = [
    "CALLER_MS",
    "CHECKSUM",
    "HEADER_LENGTH",
    "MAX_JSON_BYTES",
    "MAX_TENSORS",
    "OF_REGIONS",
    "PATIENCE_MS",
    "RECEIVE_MS",
    "REGION",
    "REGION_BYTES",
    "REGION_OFFSET",
    "REQUEST_CHECKSUM",
    "WAITED_MS",
    "Headers",
    "InferRequest",
    "InferResponse",
    "Message",
    "RequestedOutput",
    "Tensor",
    "WireError",
    "caller_s",
    "check_length",
    "checksum",
    "datatype_of",
    "decode_error",
    "decode_json",
    "decode_outputs",
    "decode_request",
    "decode_response",
    "encode_error",
    "encode_request",
    "encode_response",
    "header_length",
    "in_front_of",
    "is_shared",
    "waited_s",
]

HEADER_LENGTH = "Inference-Header-Content-Length"
# Response header: the milliseconds that the receiver measured from the request's headers to the end of its body.
RECEIVE_MS = "Collab-Receive-Ms"
# Response headers: `checksum` of the response's body, and of the request's body as received (absent if nobody read it).
CHECKSUM = "Collab-Checksum"
REQUEST_CHECKSUM = "Collab-Request-Checksum"
MAX_TENSORS = 1024
# Parameters of an input whose data is in shared memory: the name of a region, and where in it the data is.
REGION = "shared_memory_region"
REGION_OFFSET = "shared_memory_offset"
REGION_BYTES = "shared_memory_byte_size"
OF_REGIONS = frozenset({REGION, REGION_OFFSET, REGION_BYTES})
ToJson: TypeAlias = Callable[[dict[str, Any]], bytes]
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
# A day.
_MOST_WAITED_S = 86_400.0
_MOST_CALLER_S = 0.25


@dataclass
class RequestedOutput:
    """An output that the request asks for; the parameter ``binary_data`` (bool) says how it wants it."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class InferRequest:
    """An inference request. No ``outputs`` means all of them."""

    inputs: list[Tensor]
    _: KW_ONLY
    outputs: list[RequestedOutput] = field(default_factory=list)
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def wants_binary(self, output: str) -> bool:
        """Whether the request wants the output of this name as bytes rather than JSON."""
        for requested in self.outputs:
            if requested.name == output and "binary_data" in requested.parameters:
                return requested.parameters["binary_data"] is True
        return self.parameters.get("binary_data_output") is True


@dataclass
class InferResponse:
    """The answer to an `InferRequest`."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    _: KW_ONLY
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


def encode_request(request: InferRequest, to_json: ToJson | None = None) -> Message:
    """The request as HTTP body and headers, every tensor in binary. WireError: parameters that are no JSON scalars.

    ``to_json``: as in `encode_response`.
    """
    outputs = [{"name": output.name} | _with_parameters(output.parameters) for output in request.outputs]
    head = {"id": request.id} if request.id else {}
    head |= _with_parameters(request.parameters) | ({"outputs": outputs} if outputs else {})
    return _encode(head, "inputs", request.inputs, binary=lambda _: True, to_json=to_json)


def encode_response(
    response: InferResponse, binary: bool | Callable[[str], bool], to_json: ToJson | None = None
) -> Message:
    """The response as HTTP body and headers.

    ``binary`` says how tensors go, for all or by name (`InferRequest.wants_binary`); encoded ones always go as bytes.
    ``to_json``: a faster encoder than Python's own, for objects in which all numbers are finite.
    WireError: parameters that are no scalars, or a tensor that JSON cannot hold (NaN, infinity, BYTES but no text).
    """
    head: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    head |= ({"id": response.id} if response.id else {}) | _with_parameters(response.parameters)
    is_binary = binary if callable(binary) else lambda _: binary
    return _encode(head, "outputs", response.outputs, binary=is_binary, to_json=to_json)


def in_front_of(text: bytes, chunks: Sequence[bytes | memoryview]) -> Message:
    """The JSON of a message in front of the data of its binary tensors, if there are any, as HTTP body and headers."""
    if not chunks:
        return Message([text], {"Content-Type": "application/json"})
    return Message([text, *chunks], {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))})


def is_shared(tensor: Tensor) -> bool:
    """Whether the tensor's data is in a shared memory region, which its parameters name."""
    return REGION in tensor.parameters


def decode_request(
    body: bytes | bytearray | memoryview, header_length: int | None, *, shared: bool = False
) -> InferRequest:
    """The request in an HTTP body; its tensors share the body's memory. WireError: malformed.

    ``shared``: inputs may be in shared memory (`is_shared`); their ``data`` is empty, and is not checked here.
    """
    head, rest = _split(body, header_length)
    inputs = _tensors(head, "inputs", rest, shared=shared)
    if not inputs:
        raise WireError("inputs: the request has no input tensor")
    outputs = [RequestedOutput(_name(item), _parameters(item)) for item in _objects(head, "outputs")]
    return InferRequest(inputs, outputs=outputs, id=member(head, "id", ""), parameters=_parameters(head))


def decode_response(body: bytes | bytearray | memoryview, header_length: int | None) -> InferResponse:
    """The response in an HTTP body; its tensors share the body's memory. WireError: malformed."""
    head, rest = _split(body, header_length)
    outputs = decode_outputs(head, rest)
    name, version = member(head, "model_name", ""), member(head, "model_version", "")
    parameters = scalars(member(head, "parameters", {}))
    return InferResponse(name, version, outputs, id=member(head, "id", ""), parameters=parameters)


def decode_outputs(head: Mapping[str, Any], data: memoryview) -> list[Tensor]:
    """The outputs that a response's JSON describes; they share the memory of the data. WireError: malformed."""
    return _tensors(head, "outputs", data)


def checksum(*chunks: bytes | bytearray | memoryview) -> str:
    """The checksum, for the headers, of the body in these chunks.

    It is ``crc32=`` and eight hexadecimal digits (the CRC of ISO 3309, as in zlib).
    """
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return f"crc32={crc:08x}"


def header_length(headers: Headers) -> int | None:
    """Bytes of JSON in a message, from its HTTP headers; None: the body is all JSON. WireError: it is no length."""
    value = headers.get(HEADER_LENGTH)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 12):
        raise WireError(f"{HEADER_LENGTH}: {value[:40]!r} is not a length")
    return int(value)


def waited_s(headers: Headers) -> float:
    """Seconds that the caller waited before this try; 0: it is the first try. WireError: the header is no time."""
    return _seconds(headers, WAITED_MS) or 0.0


def caller_s(headers: Headers) -> float | None:
    """Seconds that the caller's last call of this kind took outside the daemon; None: it does not say.

    A caller can say what it wants, so this is at most a quarter of a second. WireError: the header is no time.
    """
    seconds = _seconds(headers, CALLER_MS)
    return None if seconds is None else min(seconds, _MOST_CALLER_S)


def patience_s(headers: Headers) -> float | None:
    """The most seconds for which a call shall wait in a queue; None: it does not say. WireError: it is no time."""
    return _seconds(headers, PATIENCE_MS)


def _seconds(headers: Headers, name: str) -> float | None:
    value = headers.get(name)
    if not value:
        return None
    try:
        seconds = float(value) / 1e3
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _MOST_WAITED_S:
        raise WireError(f"{name}: {value[:40]!r} is not a number of milliseconds that a call can have waited")
    return seconds


def _encode(
    head: dict[str, Any],
    key: str,
    tensors: Sequence[Tensor],
    *,
    binary: Callable[[str], bool],
    to_json: ToJson | None = None,
) -> Message:
    chunks: list[bytes | memoryview] = []
    items = head[key] = []
    for tensor in tensors:
        item: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        parameters = scalars(tensor.parameters)
        if is_shared(tensor):
            pass
        elif binary(tensor.name) or "codec" in parameters:
            chunks.append(tensor.data)
            parameters["binary_data_size"] = len(tensor.data)
        else:
            item["data"] = data_of(tensor)
            # It may hold NaN, which only ours refuses.
            to_json = None
        if parameters:
            item["parameters"] = parameters
        items.append(item)
    return in_front_of((to_json or _to_json)(head), chunks)


def _to_json(head: dict[str, Any]) -> bytes:
    try:
        return _JSON.encode(head).encode()
    except ValueError as error:
        raise WireError("NaN and infinity have no JSON form: ask for binary_data") from error


def _with_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"parameters": scalars(parameters)} if parameters else {}


def _split(body: bytes | bytearray | memoryview, length: int | None) -> tuple[dict[str, Any], memoryview]:
    view = memoryview(body)
    length = len(view) if length is None else length
    if not 0 <= length <= len(view):
        raise WireError(f"{HEADER_LENGTH} is {length}, but the body has {len(view)} bytes")
    return decode_json(view[:length]), view[length:]


def _objects(head: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items: list[Any] = member(head, key, [])
    if len(items) > MAX_TENSORS:
        raise WireError(f"{key}: there are {len(items)} tensors, more than {MAX_TENSORS}")
    if not all(isinstance(item, dict) for item in items):
        raise WireError(f"{key}: every item must be an object")
    return items


def _name(item: Mapping[str, Any]) -> str:
    name: str = member(item, "name", "")
    if not name:
        raise WireError("name: every tensor needs a name")
    return name


def _parameters(holder: Mapping[str, Any]) -> dict[str, Any]:
    return received(member(holder, "parameters", {}))


def _tensors(head: Mapping[str, Any], key: str, rest: memoryview, *, shared: bool = False) -> list[Tensor]:
    tensors: dict[str, Tensor] = {}
    for item in _objects(head, key):
        tensor, rest = _tensor(item, rest, shared=shared)
        if tensor.name in tensors:
            raise WireError(f"{key}: two tensors are named {tensor.name!r}")
        tensors[tensor.name] = tensor
    if rest:
        raise WireError(f"the body has {len(rest)} bytes after the last tensor")
    return list(tensors.values())


def _tensor(item: Mapping[str, Any], rest: memoryview, *, shared: bool) -> tuple[Tensor, memoryview]:
    """The tensor that the item describes, and the binary data of the tensors that follow it."""
    name, parameters, datatype = _name(item), _parameters(item), member(item, "datatype", "")
    size = parameters.pop("binary_data_size", None)
    tensor = Tensor(name, datatype, checked_shape(name, datatype, item.get("shape")), data=b"", parameters=parameters)
    if is_shared(tensor):
        _check_shared(tensor, shared and size is None and "data" not in item and "codec" not in parameters)
        return tensor, rest
    if size is None:
        return fill(tensor, item.get("data")), rest
    if type(size) is not int or not 0 <= size <= len(rest) or "data" in item:
        raise WireError(f"tensor {name!r}: binary_data_size {size!r} does not fit: the body has {len(rest)} bytes left")
    tensor.data = rest[:size]
    if "codec" not in parameters:
        check_length(tensor)
    return tensor, rest[size:]


def _check_shared(tensor: Tensor, allowed: bool) -> None:
    if not allowed:
        raise WireError(f"tensor {tensor.name!r}: {REGION} does not fit here: send the tensor's data")
