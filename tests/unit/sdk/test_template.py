"""Like calls send like requests, and others what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk._shared_memory import DIRECTORY
from collab_sdk.channels import Channels
from collab_sdk.client import Client
from collab_sdk.errors import InvalidBudget, InvalidTensor, UnknownRegion
from collab_sdk.image import image_tensor
from collab_sdk.result import encode_result
from collab_sdk.transport import DaemonReply, DaemonRequest
from collab_sdk.wire import CALLER_MS, InferRequest
from tests.served import ServedDaemon, refusal
from tests.unit.sdk.conftest import ScriptedDaemon, a_result, answer_with, inference, is_inference

SMALL = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
LARGE = np.random.default_rng(5).integers(0, 256, (320, 240, 3), dtype=np.uint8)


def without_data(message: wire.Message) -> tuple[bytes, dict[str, str]]:
    """The JSON of a request, and its headers but for the time of the call before it."""
    headers = {name: value for name, value in message.headers.items() if name != CALLER_MS}
    length = wire.header_length(message.headers)
    return message.body()[:length], headers


CALLS: list[dict[str, Any]] = [
    {"image": SMALL},
    {"image": SMALL, "budget": "80ms"},
    {"image": SMALL, "budget": "80ms, 99%, min-energy"},
    {"image": SMALL, "budget": 1, "pin_first": 1},
    {"image": SMALL, "budget": 1.5, "pin_first": 0, "cut": 'a%d\\"{}'},
    {"image": SMALL[:1], "budget": "80ms"},
    {"image": SMALL, "budget": "80ms", "channels": "bgr"},
    {"image": SMALL, "budget": "80ms", "channels": Channels.BGR, "model": "ab/c"},
    {"image": SMALL[..., 0], "channels": "grey"},
    {"image": SMALL[:, ::-1], "budget": "80ms"},
    {"image": b"a JPEG", "budget": "80ms"},
    {"image": bytearray(b"another JPEG, which is longer"), "budget": "80ms", "channels": "grey"},
    {"image": b"a JPEG", "fallback": "fail", "on_infeasible": "fail", "codec": "q8", "placement": "DC", "pin_last": 2},
]


def test_each_call_asks_for_what_it_says_whatever_the_others_said(daemon: ScriptedDaemon) -> None:
    with Client(transport=daemon) as client:
        client.infer(SMALL)  # which fetches the labels
        daemon.requests.clear()
        for options in CALLS * 2:
            client.infer(**options)
    for request, asked in zip(daemon.requests, CALLS * 2, strict=True):
        options = dict(asked)
        tensor = image_tensor(options.pop("image"), options.pop("channels", "rgb"))
        model = options.pop("model", "_default").replace("/", "%2F")
        if "budget" in options:
            options["budget"] = {1: "cost 1", 1.5: "cost 1.5", "80ms, 99%, min-energy": "80ms,99%,min-energy"}.get(
                options["budget"], options["budget"]
            )
        order = ("budget", "cut", "placement", "codec", "pin_first", "pin_last", "fallback", "on_infeasible")
        parameters = {"binary_data_output": True, **{name: options[name] for name in order if name in options}}
        expected = wire.encode_request(InferRequest([tensor], parameters=parameters))
        assert request.url == f"/v2/models/{model}/infer"
        assert without_data(request.message) == without_data(expected)
        assert request.message.body() == expected.body()


def test_what_only_looks_the_same_is_told_apart(daemon: ScriptedDaemon) -> None:
    with Client(transport=daemon) as client:
        client.infer(SMALL, 1, pin_first=1)
        with pytest.raises(InvalidBudget, match="a bool is not a budget"):
            client.infer(SMALL, True, pin_first=1)
        client.infer(SMALL, 1, pin_first=True)
        assert inference(daemon.requests[-1]).parameters["pin_first"] is True
        with pytest.raises(InvalidBudget, match="a list is not a budget"):
            client.infer(SMALL, ["80ms"])  # type: ignore[arg-type]
        with pytest.raises(InvalidTensor, match="uint16"):
            client.infer(SMALL.astype(np.uint16), 1, pin_first=1)


class Sharing:
    """A daemon that takes regions, and knows what is in them at each call."""

    def __init__(self) -> None:
        self.known: dict[str, Path] = {}
        self.calls: list[tuple[DaemonRequest, bytes]] = []
        self.forgets = False

    def __call__(self, request: DaemonRequest) -> DaemonReply:
        if not is_inference(request):
            return self._register(request) if "/region/" in request.url else answer_with(a_result())(request)
        headers = request.message.headers
        (tensor,) = wire.decode_request(request.message.body(), wire.header_length(headers), shared=True).inputs
        name = tensor.parameters.get("shared_memory_region")
        if name is None:
            self.calls.append((request, bytes(tensor.data)))
        elif self.forgets or name not in self.known:
            return refusal(UnknownRegion("no such region"))
        else:
            self.calls.append((request, self.known[name].read_bytes()[: tensor.parameters["shared_memory_byte_size"]]))
        message = wire.encode_response(encode_result(a_result()), binary=True)
        return DaemonReply(200, message.body(), message.headers)

    def _register(self, request: DaemonRequest) -> DaemonReply:
        *_, name, what = request.url.split("/")
        if what == "register":
            # The client deletes the file's name, so it is kept by another.
            kept = DIRECTORY / f"kept-{name}"
            kept.hardlink_to(DIRECTORY / json.loads(request.message.body())["key"][1:])
            self.known[name] = kept
        else:
            self.known.pop(name).unlink()
        return DaemonReply(200, b"{}")

    def close(self) -> None:
        for kept in self.known.values():
            kept.unlink()


@pytest.fixture
def sharing() -> Iterator[Sharing]:
    with closing(Sharing()) as sharing:
        yield sharing


@pytest.fixture
def client(sharing: Sharing, tmp_path: Path) -> Iterator[Client]:
    served = ServedDaemon(tmp_path / "sock", sharing)
    with Client(served.path, timeout_s=10) as client:
        yield client
    served.stop()


def test_like_calls_send_the_same_bytes(client: Client, sharing: Sharing) -> None:
    frames = [LARGE + np.uint8(number) for number in range(3)]
    for frame in frames:
        client.infer(frame, "80ms")
    assert [data for _, data in sharing.calls] == [frame.tobytes() for frame in frames]
    first, *others = [without_data(request.message) for request, _ in sharing.calls]
    assert others == [first] * 2


def test_a_call_of_another_kind_in_between_changes_nothing(client: Client, sharing: Sharing) -> None:
    cropped = np.ascontiguousarray(LARGE[:310])
    for frame, budget in [(LARGE, "80ms"), (cropped, "80ms"), (LARGE, "90ms"), (LARGE, "80ms"), (SMALL, "80ms")]:
        client.infer(frame, budget)
    assert [data for _, data in sharing.calls] == [each.tobytes() for each in (LARGE, cropped, LARGE, LARGE, SMALL)]
    one, two, three, again, _ = [without_data(request.message)[0] for request, _ in sharing.calls]
    assert one == again
    assert len({one, two, three}) == 3


def test_a_region_that_is_lost_is_asked_for_no_more(client: Client, sharing: Sharing) -> None:
    client.infer(LARGE, "80ms")
    sharing.forgets = True
    client.infer(LARGE, "80ms")
    sharing.forgets = False
    client.infer(LARGE, "80ms")
    assert [data for _, data in sharing.calls] == [LARGE.tobytes()] * 3
    regions = [b"shared_memory_region" in request.message.body() for request, _ in sharing.calls]
    assert regions == [True, False, True]
    assert sharing.calls[0][0].message.body() != sharing.calls[2][0].message.body()


def test_threads_send_their_own_frames(client: Client, sharing: Sharing) -> None:
    frames = [np.full_like(LARGE, number) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client.infer, frames))
    assert sorted(data[0] for _, data in sharing.calls) == [*range(40)]
    assert all(data == bytes([data[0]]) * LARGE.nbytes for _, data in sharing.calls)
