"""Clients that ask one request after another, and heed a companion that tells them to come later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Check = Callable[[bytes, int | None], bool]
_CHECKED_EVERY = 20


@dataclass
class Served:
    """What one client got: the seconds from asking to each answer, refusals between them included."""

    taken: list[float] = field(default_factory=list)
    refused: int = 0
    wrong: int = 0


async def ask_for(port: int, messages: Sequence[bytes], seconds: float, check: Check | None = None) -> list[Served]:
    """One client for each message, all at once, for so many seconds."""
    until = time.perf_counter() + seconds
    return list(await asyncio.gather(*(_client(port, message, until, check) for message in messages)))


async def _client(port: int, message: bytes, until: float, check: Check | None) -> Served:
    served = Served()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        while (began := time.perf_counter()) < until:
            while True:
                writer.write(message)
                status, headers, body = await _reply(reader)
                if status != 503:
                    break
                served.refused += 1
                pause_s = float(headers.get("retry-after", "1"))
                if time.perf_counter() + pause_s >= until:
                    return served
                await asyncio.sleep(pause_s)
            if status != 200:
                raise RuntimeError(f"status {status}: {body[:300]!r}")
            served.taken.append(time.perf_counter() - began)
            if check is not None and len(served.taken) % _CHECKED_EVERY == 1:
                length = headers.get("inference-header-content-length")
                served.wrong += not check(body, None if length is None else int(length))
    finally:
        writer.close()
    return served


async def _reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, body
