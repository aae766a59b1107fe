"""Like calls send like requests: each is written once, with a gap for what differs from call to call.

So the requests of like calls have the same bytes but for the size of the image, and where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from collab_sdk import wire
from collab_sdk.budget import Budget
from collab_sdk.channels import Channels
from collab_sdk.image import form_of
from collab_sdk.transport import DaemonRequest
from collab_sdk.wire import CALLER_MS, REGION, REGION_BYTES, REGION_OFFSET, InferRequest, Tensor

# The size of the image's data is the last thing that the JSON of a request says.
_NO_SIZE = b"0}}]}"
_ENDS = _NO_SIZE[1:]
# A client has a few regions, and now and then another.
_MOST_REGIONS = 16


class Terms(NamedTuple):
    """What a call asks for besides its inputs."""

    url: str
    budget: Budget
    parameters: dict[str, Any]


class Template:
    """An inference request of one image, without the image.

    ``budget``: what the call may take. ``pixels``: whether the image is an array and not a file. ``raw``: whether the
    call asks for the network's own outputs.
    """

    def __init__(self, terms: Terms, form: Tensor) -> None:
        self.budget = terms.budget
        self.pixels = form.datatype != "BYTES"
        self.raw = "raw" in terms.parameters
        self._url = terms.url
        self._form = form
        self._parameters = terms.parameters
        # The last request without data, which the next one may equal, and what made it so.
        self._last: tuple[tuple[str | None, int, str | None], DaemonRequest] = (None, 0, None), DaemonRequest("", "")
        # The JSON up to the size, by the name of the region that the data is in.
        self._beginnings: dict[str | None, bytes] = {}

    def request(
        self, chunks: Sequence[bytes | memoryview], size: int, *, region: str | None, caller_ms: str | None
    ) -> DaemonRequest:
        """The request for the image with this data, of ``size`` bytes.

        ``region``: the name of the shared memory that holds the data; None: the data goes with the request.
        ``caller_ms``: see `wire.CALLER_MS`; None: the request does not say.
        """
        differs = region, size, caller_ms
        # Several threads replace the last request, so it is read once.
        last_differs, last = self._last
        if region is not None and last_differs == differs:
            return last
        text = b"%b%d%b" % (self._beginnings.get(region) or self._beginning(region), size, _ENDS)
        message = wire.in_front_of(text, chunks if region is None else ())
        if caller_ms is not None:
            message.headers[CALLER_MS] = caller_ms
        request = DaemonRequest("POST", self._url, message)
        if region is not None:
            self._last = differs, request
        return request

    def _beginning(self, region: str | None) -> bytes:
        parameters = self._form.parameters | ({} if region is None else {REGION: region, REGION_BYTES: 0})
        form = Tensor(self._form.name, self._form.datatype, self._form.shape, data=b"", parameters=parameters)
        text = bytes(wire.encode_request(InferRequest([form], parameters=self._parameters)).chunks[0])
        if len(self._beginnings) == _MOST_REGIONS:
            self._beginnings = {}
        beginning = self._beginnings[region] = text.removesuffix(_NO_SIZE)
        return beginning


class TensorsTemplate:
    """An inference request of named tensors. It has the parts of a `Template`, and serves one call."""

    pixels = True

    def __init__(self, terms: Terms, tensors: Sequence[Tensor]) -> None:
        self.budget = terms.budget
        self.raw = "raw" in terms.parameters
        self._terms = terms
        self._tensors = tensors

    def request(
        self,
        chunks: Sequence[bytes | memoryview],  # noqa: ARG002  the tensors have them
        size: int,  # noqa: ARG002
        *,
        region: str | None,
        caller_ms: str | None,
    ) -> DaemonRequest:
        """See `Template.request`; the tensors lie in a region one after another."""
        tensors = self._tensors if region is None else self._in_region(region)
        message = wire.encode_request(InferRequest([*tensors], parameters=self._terms.parameters))
        if caller_ms is not None:
            message.headers[CALLER_MS] = caller_ms
        return DaemonRequest("POST", self._terms.url, message)

    def _in_region(self, region: str) -> Iterator[Tensor]:
        at = 0
        for tensor in self._tensors:
            size = len(tensor.data)
            yield replace(tensor, parameters={REGION: region, REGION_OFFSET: at, REGION_BYTES: size})
            at += size


# The type counts: a budget of 1 is a cost, and True is a mistake.
@lru_cache(typed=True)
def template_of(
    shape: tuple[int, ...] | None,
    dtype: np.dtype[Any] | None,
    channels: Channels | str,
    **asked: Any,
) -> Template:
    """The template of calls with these arguments of `Client.infer`. It raises what `infer` says of them.

    ``shape``, ``dtype``: those of an array; None: the image is a file. ``asked``: as in `terms_of`.
    """
    return Template(terms_of(**asked), form_of(shape, dtype, channels))


def terms_of(
    *, model: str | None, budget: Budget | str | float | None, raw: bool = False, **options: str | int | None
) -> Terms:
    """What a call with these arguments of `Client.infer` asks for. It raises what `infer` says of them."""
    allowed = Budget.parse(budget)
    stated = {"binary_data_output": True, "budget": str(allowed) or None, "raw": raw or None, **options}
    parameters = {name: value for name, value in stated.items() if value is not None}
    return Terms(f"{model_url(model or '_default')}/infer", allowed, parameters)


def model_url(name: str) -> str:
    """The path of a model, whatever its name."""
    return f"/v2/models/{quote(name, safe='')}"
