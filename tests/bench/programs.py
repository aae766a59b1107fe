"""Programs of a bench that run on the device, while the bench itself runs beside it with the link."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

# A line of JSON may be so long.
_LINE_BYTES = 2**26
_Answer = TypeVar("_Answer")


class Program:
    """A running module that answers each order on its input, a line of JSON, with a line of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def ask(self, order: msgspec.Struct, answer: type[_Answer]) -> _Answer:
        """Have it do something, and return what it reports."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended with {await self._process.wait()}; what it said stands above")
        return msgspec.json.decode(line, type=answer)


@asynccontextmanager
async def program(
    module: str, *arguments: str, within: Callable[[Sequence[str]], Sequence[str]] = list
) -> AsyncIterator[Program]:
    """`python -m MODULE ARGUMENTS`, which dies with the context. `within` turns its command into what is started."""
    pipe = asyncio.subprocess.PIPE
    command = within([sys.executable, "-m", module, *arguments])
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LINE_BYTES)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def obey(orders: Any, do: Callable[[Any], msgspec.Struct]) -> None:
    """In such a program: do what each line orders, which is of the type `orders`, until there are no more."""
    decoder = msgspec.json.Decoder(orders)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(do(decoder.decode(line))) + b"\n")
        sys.stdout.buffer.flush()
