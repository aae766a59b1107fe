"""The wire form: round trips, other people's clients, and nothing but WireError for whatever bytes arrive."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from collab_sdk import wire
from collab_sdk.errors import BudgetInfeasible, CollabError, DaemonFault
from collab_sdk.wire import InferRequest, InferResponse, Message, RequestedOutput, Tensor, WireError

DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
scalars = st.one_of(
    st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
arrays = hnp.arrays(
    dtype=st.sampled_from(DTYPES).map(np.dtype), shape=hnp.array_shapes(min_dims=0, min_side=0, max_dims=4)
)


def through(message: Message) -> tuple[bytes, int | None]:
    return message.body(), wire.header_length(message.headers)


def sent(request: InferRequest) -> InferRequest:
    return wire.decode_request(*through(wire.encode_request(request)))


def body(**head: Any) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]} | head).encode()


def item(**members: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2]} | members


@given(st.lists(arrays, min_size=1, max_size=4), st.dictionaries(st.text(), scalars, max_size=4))
def test_a_request_arrives_as_it_left(values: list[np.ndarray], parameters: dict[str, Any]) -> None:
    tensors = [Tensor.from_array(f"t{i}", value) for i, value in enumerate(values)]
    request = InferRequest(
        tensors, outputs=[RequestedOutput("y", {"binary_data": True})], id="7", parameters=parameters
    )

    got = sent(request)

    assert got == request
    for tensor, value in zip(got.inputs, values, strict=True):
        np.testing.assert_array_equal(tensor.to_array(), value)
        assert tensor.to_array().dtype == value.dtype


@given(arrays.filter(lambda array: bool(np.isfinite(array).all())), st.booleans())
def test_a_response_arrives_as_it_left_in_binary_and_in_json(value: np.ndarray, binary: bool) -> None:
    response = InferResponse("net", "1", [Tensor.from_array("y", value)], id="id", parameters={"queue_ms": 0.25})
    message = wire.encode_response(response, binary)

    got = wire.decode_response(*through(message))

    assert (got.model_name, got.model_version, got.id, got.parameters) == ("net", "1", "id", {"queue_ms": 0.25})
    np.testing.assert_array_equal(got.outputs[0].to_array(), value)
    assert (wire.HEADER_LENGTH in message.headers) is binary


@given(st.lists(st.binary(), max_size=5))
def test_bytes_arrive_as_they_left(elements: list[bytes]) -> None:
    assert sent(InferRequest([Tensor.from_bytes_list("image", elements)])).inputs[0].to_bytes_list() == elements


def test_big_endian_and_strided_arrays_are_sent_in_the_wires_order() -> None:
    array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]

    tensor = Tensor.from_array("x", array)

    assert tensor.data == array.astype("<f4").tobytes()
    np.testing.assert_array_equal(tensor.to_array(), array)


def test_elements_at_an_odd_address_are_aligned() -> None:
    tensor = Tensor("x", "FP64", (2,), data=memoryview(b"?" + np.array([1.0, 2.0]).tobytes())[1:])

    assert tensor.to_array().flags.aligned
    np.testing.assert_array_equal(tensor.to_array(), [1.0, 2.0])


def test_an_encoded_tensor_keeps_its_payload_and_is_not_read_as_an_array() -> None:
    tensor = Tensor("x", "FP32", (1, 8), data=b"abc", parameters={"codec": "q8", "zstd": True})

    got = sent(InferRequest([tensor])).inputs[0]

    assert got == tensor
    with pytest.raises(WireError, match="decode it first"):
        got.to_array()
    answer = wire.encode_response(InferResponse("net", "", [tensor]), binary=False)
    assert wire.decode_response(*through(answer)).outputs == [tensor]


def test_curls_request_is_read() -> None:
    text = b"""{"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [3, 4]]},
                           {"name": "n", "shape": [2], "datatype": "BYTES", "data": ["a", "\\u00e9"]}],
                "parameters": null, "id": null}"""

    request = wire.decode_request(text, None)

    np.testing.assert_array_equal(request.inputs[0].to_array(), np.array([[1, 2.5], [3, 4]], np.float32))
    assert request.inputs[1].to_bytes_list() == [b"a", "é".encode()]
    assert request.id == ""


def test_parameters_that_are_no_scalars_are_there_in_words_and_null_is_left_out() -> None:
    odd = b'{"d": {"a": 1}, "l": ["80ms"], "i": 9223372036854775808, "f": 1e999, "n": null, "s": "x"}'
    tensor = b'{"name": "x", "datatype": "FP32", "shape": [0], "data": [], "parameters": %b}' % odd
    text = b'{"inputs": [%b], "outputs": [{"name": "y", "parameters": %b}], "parameters": %b}' % (tensor, odd, odd)

    request = wire.decode_request(text, None)

    read = {"d": "a dict", "l": "a list", "i": "a int", "f": "a float", "s": "x"}
    assert request.parameters == request.inputs[0].parameters == request.outputs[0].parameters == read
    assert sent(request) == request


def test_tritonclients_request_is_read_and_our_response_by_it() -> None:
    http = pytest.importorskip("tritonclient.http")
    array = np.arange(6, dtype=np.float32).reshape(1, 6)
    ask = http.InferInput("x", [1, 6], "FP32")
    ask.set_data_from_numpy(array)
    text, length = http.InferenceServerClient.generate_request_body([ask])

    request = wire.decode_request(text, length)

    np.testing.assert_array_equal(request.inputs[0].to_array(), array)
    answer = wire.encode_response(InferResponse("net", "1", request.inputs), request.wants_binary)
    result = http.InferenceServerClient.parse_response_body(
        answer.body(), header_length=wire.header_length(answer.headers)
    )
    np.testing.assert_array_equal(result.as_numpy("x"), array)


def test_each_output_comes_in_the_form_that_was_asked_for() -> None:
    request = InferRequest(
        [], outputs=[RequestedOutput("a", {"binary_data": False})], parameters={"binary_data_output": True}
    )
    tensors = [Tensor.from_array(name, np.ones(1, np.float32)) for name in ("a", "b")]

    answer = wire.encode_response(InferResponse("net", "", tensors), request.wants_binary)

    head = json.loads(answer.body()[: wire.header_length(answer.headers)])
    assert head["outputs"][0]["data"] == [1.0]
    assert head["outputs"][1]["parameters"] == {"binary_data_size": 4}
    assert not InferRequest([]).wants_binary("a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "this is not a JSON object"),
        (b"\xff{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"inputs": [NaN]}', "NaN"),
        (b"{}", "no input tensor"),
        (body(inputs=[]), "no input tensor"),
        (body(inputs={}), "expected list"),
        (body(inputs=[1]), "must be an object"),
        (body(inputs=[{}] * 1025), "1025 tensors"),
        (body(inputs=[item(data=[1, 2])] * 2), "two tensors are named 'x'"),
        (body(inputs=[item(name="")]), "name"),
        (body(inputs=[item(name=3)]), "name: expected str"),
        (body(inputs=[item(datatype="FP128")]), "unknown datatype 'FP128'"),
        (body(inputs=[item(shape=[-1])]), "natural number"),
        (body(inputs=[item(shape=[True])]), "natural number"),
        (body(inputs=[item(shape=[1.0])]), "natural number"),
        (body(inputs=[item(shape=2)]), "list of at most"),
        (body(inputs=[item(shape=[1] * 17)]), "list of at most"),
        (body(inputs=[item(shape=[2**30])]), "more than"),
        (body(inputs=[item(shape=[0, 2**62, 4], data=[])]), "more than"),
        (body(inputs=[item(datatype="BYTES", shape=[2**20])]), "more than"),
        (body(inputs=[item()]), "neither a list `data`"),
        (body(inputs=[item(data=[1])]), "4 bytes, but its shape needs 8"),
        (body(inputs=[item(data=[1, "2"])]), "not FP32"),
        (body(inputs=[item(data=[1, None])]), "not FP32"),
        (body(inputs=[item(data=[True, False])]), "not FP32"),
        (body(inputs=[item(data=[1, 1e39])]), "outside the range of FP32"),
        (body(inputs=[item(data=[1, -(10**400)])]), "outside the range of FP32"),
        (body(inputs=[item(datatype="UINT8", data=[1, 256])]), "outside the range of UINT8"),
        (body(inputs=[item(datatype="UINT8", data=[1, -1])]), "outside the range of UINT8"),
        (body(inputs=[item(datatype="UINT64", data=[1, -1])]), "outside the range of UINT64"),
        (body(inputs=[item(datatype="INT8", data=[1, 1.5])]), "not INT8"),
        (body(inputs=[item(datatype="INT64", data=[1, 2**63])]), "outside the range of INT64"),
        (body(inputs=[item(datatype="INT64", data=[1, 2**65])]), "outside the range of INT64"),
        (body(inputs=[item(datatype="BOOL", data=[1, 0])]), "not BOOL"),
        (body(inputs=[item(datatype="BYTES", data=["a"])]), "fewer elements"),
        (body(inputs=[item(datatype="BYTES", data=["a", "b", "c"])]), "after the last element"),
        (body(inputs=[item(datatype="BYTES", data=["a", 1])]), "must be strings"),
        (body(inputs=[item(datatype="BYTES", data=["a", "\ud800"])]), "surrogate"),
        (
            b'{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ' + b"[" * 40 + b"]" * 40 + b"}]}",
            "deeper",
        ),
        (body(inputs=[item(data=[1, 2], parameters={"codec": "q8"})]), "needs binary_data"),
        (body(inputs=[item(parameters={"binary_data_size": 8})]), "does not fit: the body has 0 bytes left"),
        (body(inputs=[item(parameters={"binary_data_size": -1})]), "does not fit"),
        (body(inputs=[item(data=[1, 2], parameters={"binary_data_size": 0})]), "does not fit"),
        (body(inputs=[item(parameters={"binary_data_size": 0})]), "0 bytes, but its shape needs 8"),
        (body(inputs=[item(parameters={"shared_memory_region": "r"})]), "does not fit here"),
        (body(parameters=[]), "expected dict"),
        (body(id=3), "id: expected str"),
        (body(outputs=[{}]), "name"),
    ],
)
def test_a_malformed_request_says_what_is_wrong(text: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says):
        wire.decode_request(text, None)


def test_binary_data_must_be_exactly_what_the_tensors_need() -> None:
    text, length = through(wire.encode_request(InferRequest([Tensor.from_array("x", np.ones(3, np.float32))])))

    with pytest.raises(WireError, match="1 bytes after the last tensor"):
        wire.decode_request(text + b"?", length)
    with pytest.raises(WireError, match="11 bytes left"):
        wire.decode_request(text[:-1], length)
    head = body(inputs=[item(datatype="UINT8", shape=[1], parameters={"binary_data_size": True})])
    with pytest.raises(WireError, match="binary_data_size True does not fit: the body has 1 bytes left"):
        wire.decode_request(head + b"?", len(head))
    for wrong in (-1, len(text) + 1):
        with pytest.raises(WireError, match="but the body has"):
            wire.decode_request(text, wrong)


@pytest.mark.parametrize(
    ("data", "says"), [(b"\1\0\0", "fewer"), (struct.pack("<I", 9) + b"ab", "cut off"), (bytes(8), "after the last")]
)
def test_a_byte_tensors_elements_must_fill_it(data: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says):
        sent(InferRequest([Tensor("x", "BYTES", (1,), data=data)]))


def test_json_is_bounded() -> None:
    with pytest.raises(WireError, match="send tensors in binary"):
        wire.decode_json(b" " * (wire.MAX_JSON_BYTES + 1))


@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(-5, 300)))
def test_any_bytes_are_a_message_or_a_wire_error(text: bytes, length: int | None) -> None:
    for decode in (wire.decode_request, wire.decode_response):
        with contextlib.suppress(WireError):
            assert decode(text, length)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=2) | json_values,
        "datatype": st.sampled_from(["FP32", "FP16", "UINT8", "INT64", "UINT64", "BOOL", "BYTES"]) | json_values,
        "shape": st.lists(st.integers(-1, 4) | st.integers(), max_size=3) | json_values,
        "data": st.lists(st.integers(-300, 300) | st.text(max_size=2) | json_values, max_size=4) | json_values,
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_size", "codec"]), st.integers(-1, 9) | json_values, max_size=2
        ),
    },
)


@given(
    st.lists(members, min_size=1, max_size=3), st.dictionaries(st.text(max_size=5), json_values), st.binary(max_size=12)
)
def test_any_json_is_a_message_or_a_wire_error(items: list[Any], parameters: dict[str, Any], data: bytes) -> None:
    head = json.dumps({"inputs": items, "outputs": items, "parameters": parameters}).encode()
    try:
        request = wire.decode_request(head + data, len(head))
    except WireError:
        return
    for tensor in request.inputs:
        if "codec" not in tensor.parameters and tensor.datatype != "BYTES":
            assert tensor.to_array().shape == tensor.shape


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_flipped_byte_never_does_more_than_a_wire_error(at: int, value: int) -> None:
    tensors = [Tensor.from_array("x", np.arange(4, dtype=np.int32)), Tensor.from_bytes_list("b", [b"abc", b""])]
    text, length = through(wire.encode_request(InferRequest(tensors, parameters={"budget": "80ms"})))
    broken = bytearray(text)
    broken[at % len(broken)] = value
    try:
        got = wire.decode_request(broken, length)
    except WireError:
        return
    assert len(got.inputs) == 2


@pytest.mark.parametrize("value", ["", "-1", "1 ", "0x10", "²", "9" * 12])
def test_a_header_length_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(WireError, match="is not a length"):
        wire.header_length({wire.HEADER_LENGTH: value})


def test_what_has_no_form_on_the_wire_is_refused_when_sent() -> None:
    with pytest.raises(WireError, match="no datatype"):
        Tensor.from_array("x", np.array(["a"]))
    with pytest.raises(WireError, match="parameter 'p'"):
        wire.encode_request(InferRequest([], parameters={"p": float("nan")}))
    for tensor in (Tensor.from_array("x", np.array([np.inf])), Tensor.from_bytes_list("x", [b"\xff"])):
        with pytest.raises(WireError, match="binary_data"):
            wire.encode_response(InferResponse("net", "", [tensor]), binary=False)
    with pytest.raises(WireError, match="not BYTES"):
        Tensor.from_array("x", np.ones(1)).to_bytes_list()
    with pytest.raises(WireError, match="not an array"):
        Tensor.from_bytes_list("x", []).to_array()


def test_an_error_arrives_as_its_class_with_its_figures() -> None:
    error = BudgetInfeasible("no plan", {"latency_ms": 91.5, "energy_mj": float("inf"), "cut": None, "met": False})

    got = wire.decode_error(422, wire.encode_error(error))

    assert (type(got), str(got)) == (BudgetInfeasible, "no plan")
    assert got.details == {"latency_ms": 91.5, "energy_mj": "inf", "cut": None, "met": False}


@pytest.mark.parametrize("text", [b"<html>Bad gateway</html>", b"\xff", b'{"error": 3}', b"[]"])
def test_a_foreign_error_body_is_shown(text: bytes) -> None:
    got = wire.decode_error(502, text)

    assert type(got) is DaemonFault
    assert "502" in str(got)
    assert isinstance(wire.decode_error(500, b'{"error": "x"}'), CollabError)
