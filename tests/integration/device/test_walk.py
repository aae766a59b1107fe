"""How far a call walks from file to file inside the device daemon; `pytest -s` prints the walk."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import collabd.device
from tests.integration.device.conftest import Factory

_DEVICE = f"{Path(collabd.device.__file__).parent}/"
_TIMES = 200


@dataclass(frozen=True)
class _Start:
    """A function that starts; `depth`: through how many functions of `collabd/device` it is called."""

    file: str
    function: str
    depth: int
    thread: int


class _Tracer:
    """Notes each function of `collabd/device` that starts, in all threads. One that is resumed does not start again."""

    def __init__(self) -> None:
        self._seen: set[FrameType] = set()
        self._starts: list[_Start] | None = None

    @contextmanager
    def noting(self) -> Iterator[list[_Start]]:
        """Around what is to be noted; `threading.setprofile` of this tracer came before all threads."""
        self._starts = []
        sys.setprofile(self.profile)
        try:
            yield self._starts
        finally:
            sys.setprofile(None)
            # Thread after thread: how two of them took turns is chance.
            threads = list(dict.fromkeys(start.thread for start in self._starts))
            self._starts.sort(key=lambda start: threads.index(start.thread))
            self._starts = None
            self._seen.clear()

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """For `sys.setprofile` and `threading.setprofile`."""
        if self._starts is None or event != "call" or not _is_ours(frame) or frame in self._seen:
            return
        self._seen.add(frame)
        file = frame.f_code.co_filename.removeprefix(_DEVICE)
        self._starts.append(_Start(file, frame.f_code.co_qualname, _depth(frame), threading.get_ident()))


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_DEVICE)


def _depth(frame: FrameType) -> int:
    depth, caller = 0, frame.f_back
    while caller is not None:
        depth, caller = depth + _is_ours(caller), caller.f_back
    return depth


def _moves(starts: Sequence[_Start]) -> int:
    """Starts in another file than the start before."""
    return sum(before.file != after.file for before, after in pairwise(starts))


def _drawn(starts: Sequence[_Start]) -> str:
    """A line a move: the file and the functions that start there, indented by how deep the first of them is called."""
    lines: list[str] = []
    for before, start in zip([None, *starts], starts, strict=False):
        if before is None or before.file != start.file:
            lines.append(f"{'  ' * start.depth}{start.file}: {start.function}")
        elif not start.function.endswith(">"):  # a comprehension's frame says nothing
            lines[-1] += f", {start.function}"
    return "\n".join(lines)


# A call that takes longer than expected is thought over, which a busy machine makes of all of them.
@pytest.mark.alone
async def test_a_call_with_a_fixed_cut_is_a_short_walk(bench: Factory) -> None:
    """From the door to the answer, with one crossing, once all is warm; it was 165 moves through 35 files."""
    tracer, walks = _Tracer(), []
    threading.setprofile(tracer.profile)
    try:
        async with bench() as it:
            for _ in range(_TIMES):
                await it.client.infer(it.images[0], cut="pool1", codec="f32")
            for _ in range(_TIMES):
                with tracer.noting() as starts:
                    await it.client.infer(it.images[0], cut="pool1", codec="f32")
                walks.append(starts)
    finally:
        threading.setprofile(None)
    # The others crossed a background task.
    walk = min(walks, key=_moves)
    print(f"\n{_moves(walk)} moves through {len({start.file for start in walk})} files:\n{_drawn(walk)}")
    assert _moves(walk) <= 78
