"""A picture of `collabctl top` at work, as it stands on a terminal: python -m tests.pictures.top [FILE.svg]"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.pictures.scene import ROOT, at_work
from tests.terminal import Terminal

TOP = [str(Path(sys.executable).with_name("collabctl")), "top"]
FILE = ROOT / "docs/images/top.svg"
COLUMNS, LINES = 100, 30
# s. Long enough that sparklines tell of more than one weather.
LOOKS_S = 75.0
# What pyte calls the colours that rich calls otherwise.
_COLOURS = {"default": "", "brown": "yellow"}


async def looked_at() -> list[Text]:
    """What stands on the terminal when they have worked for a while."""
    environment = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": ""}
    with tempfile.TemporaryDirectory(prefix="collabd-pictures-") as directory:
        async with at_work(Path(directory)) as bed:
            environment["COLLABD_SOCKET"] = str(bed.socket)
            terminal = Terminal(TOP, columns=COLUMNS, lines=LINES, environment=environment)
            return await asyncio.to_thread(_look, terminal)


def _look(terminal: Terminal) -> list[Text]:
    with terminal:
        terminal.watch(LOOKS_S)
        lines = shown(terminal)
        terminal.press("q")
        assert terminal.ended() == 0
    return lines


def shown(terminal: Terminal) -> list[Text]:
    """What stands on the terminal, with its colours."""
    lines = []
    for row in range(terminal.screen.lines):
        line = Text()
        for column in range(terminal.screen.columns):
            cell = terminal.screen.buffer[row][column]
            marks = {"bold": cell.bold, "dim": cell.italics, "underline": cell.underscore, "reverse": cell.reverse}
            style = " ".join([_COLOURS.get(cell.fg, cell.fg), *(mark for mark, is_set in marks.items() if is_set)])
            line.append(cell.data, style.strip())
        lines.append(line)
    return lines


def svg(lines: list[Text], columns: int, *, title: str) -> str:
    """The lines as a picture that loads no font from elsewhere."""
    console = Console(file=StringIO(), width=columns, record=True, force_terminal=True, color_system="standard")
    for line in lines:
        console.print(line, no_wrap=True, soft_wrap=True)
    made = console.export_svg(title=title, theme=DIMMED_MONOKAI, unique_id="top")
    made = re.sub(r"@font-face \{.*?\}\n", "", made, flags=re.DOTALL)
    return made.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


if __name__ == "__main__":
    seen = asyncio.run(looked_at())
    print("\n".join(line.plain for line in seen))
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(svg(seen, COLUMNS, title="collabctl top"))
