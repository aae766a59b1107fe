"""The real `collabctl top` on a terminal, in front of a real daemon and its companion."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.terminal import Terminal

if TYPE_CHECKING:
    from tests.integration.device.conftest import Factory

TOP = [str(Path(sys.executable).with_name("collabctl")), "top"]


async def test_calls_are_seen_on_a_small_terminal(bench: Factory) -> None:
    async with bench() as it:
        for placement, stream in (("image", "gate"), ("output", "yard")):
            # On a busy machine the device might overtake the companion.
            name = it.package.manifest.name
            await it.client.infer(it.images[0], model=name, cut=placement, stream=stream, fallback="fail")
        environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": "", "COLLABD_SOCKET": str(it.socket)}
        terminal = Terminal(TOP, columns=80, lines=24, environment=environment)
        # The daemons live in this loop.
        await asyncio.to_thread(_looked_at, terminal, it.package.manifest.name)


def _looked_at(terminal: Terminal, model: str) -> None:
    with terminal:
        terminal.shows(f"{model} gate", f"{model} yard", "calls 2", "q quit", "image as", "local 100.0 %")
        rows = terminal.text.splitlines()
        assert rows[0].startswith("collabd")
        (companion,) = (row.split() for row in rows if row.startswith("pc "))
        assert companion[1] == "up"
        gate, yard = (
            next(index for index, row in enumerate(rows) if row.startswith(f"{model} {each}"))
            for each in ("gate", "yard")
        )
        assert "│░░░░░" in rows[gate]
        assert rows[gate + 1].startswith("  image as ")
        assert "██████" in rows[yard]
        assert rows[yard + 1].startswith("  local ")
        assert any(row.startswith("last call") and "(fixed)" in row for row in rows)
        assert not terminal.is_as_it_was
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.is_as_it_was
