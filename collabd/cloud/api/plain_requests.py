"""Plain requests (`collabd.http.plain`), which go past aiohttp: guarded, let in and sealed as all others are."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import hdrs

from collab_sdk import wire
from collabd.cloud.api.door import CloudVisit
from collabd.cloud.api.guard import Guard, refusal_to_plain
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.http.checksums import checksum
from collabd.http.plain import PlainAnswer, PlainRequest, RequestHead
from collabd.http.protocol import InferenceProtocol

# A plain request comes in one piece.
_AT_ONCE = "0.000"


def plain_answer(inference: InferenceProtocol, guard: Guard, dispatcher: CloudDispatcher) -> PlainAnswer:
    """What answers plain requests."""

    def door(head: RequestHead) -> CloudVisit:
        device = head.peer
        known = device if isinstance(device, str) else None
        return CloudVisit(dispatcher, known, head.body_bytes, patience_s=wire.patience_s(head.headers))

    answer = inference.plainly(door, seal=_sealed)

    async def answered(request: PlainRequest, date: str) -> bytes:
        headers, transport, peer, size = request.head
        known, device = guard.device(headers.get(hdrs.AUTHORIZATION) or "", peer)
        if not known:
            return refusal_to_plain(date)
        head = RequestHead(headers, transport, device, size)
        return await answer(PlainRequest(request.model, request.header_length, head, request.body), date)

    return answered


async def _sealed(request: PlainRequest, chunks: Sequence[bytes | memoryview]) -> dict[str, str]:
    """The headers by which a device sees that nothing was damaged on the way, and how long its request took to come."""
    return {
        wire.CHECKSUM: await checksum(*chunks),
        wire.REQUEST_CHECKSUM: await checksum(request.body),
        wire.RECEIVE_MS: _AT_ONCE,
    }
