"""A program on a terminal of its own: what the terminal shows is read, keys are pressed. Nothing else looks at it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

from tests.patience import PATIENCE_S

# Programs that take all of the terminal switch to its other screen, and back. pyte moves private modes up by 5 bits.
_OTHER_SCREEN = 1049 << 5
# Codes of ECMA-48.
_FAINT, _ITALIC = 2, 3


class Screen(pyte.Screen):
    """With what pyte leaves out, and ncurses uses: a character is repeated, and the lines between two are scrolled."""

    def draw(self, data: str) -> None:
        super().draw(data)
        self._last = data[-1:]

    def select_graphic_rendition(self, *attributes: int) -> None:
        # pyte knows of no faint letters. Nobody writes italics, so that these stand for them.
        super().select_graphic_rendition(*(_ITALIC if code == _FAINT else code for code in attributes))

    def repeat(self, count: int) -> None:
        super().draw(self._last * count)

    def scroll_up(self, count: int = 1) -> None:
        self._scroll(self._bottom, self.index, count)

    def scroll_down(self, count: int = 1) -> None:
        self._scroll(self._top, self.reverse_index, count)

    @property
    def _top(self) -> int:
        return self.margins.top if self.margins else 0

    @property
    def _bottom(self) -> int:
        return self.margins.bottom if self.margins else self.lines - 1

    def _scroll(self, edge: int, once: Callable[[], None], count: int) -> None:
        """By so many lines, as it does where the cursor leaves the edge."""
        before, self.cursor.y = self.cursor.y, edge
        for _ in range(count):
            once()
        self.cursor.y = before


class _Stream(pyte.ByteStream):
    csi = {**pyte.ByteStream.csi, "b": "repeat", "S": "scroll_up", "T": "scroll_down"}  # noqa: RUF012
    events = pyte.ByteStream.events | {"repeat", "scroll_up", "scroll_down"}


class Terminal:
    """Runs a command inside a `with` block, on a terminal of so many columns and lines.

    ``screen``: what it shows, with colours. ``written``: how many bytes the program wrote.
    """

    def __init__(
        self, command: Sequence[str], *, columns: int, lines: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.screen = Screen(columns, lines)
        self.written = 0
        self._stream = _Stream(self.screen)
        self._command = command
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> Self:
        self._ours, self._theirs = pty.openpty()
        self._resize()
        self._settings = termios.tcgetattr(self._theirs)
        self.process = subprocess.Popen(
            self._command,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=self._environment,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)

    @property
    def text(self) -> str:
        """All lines, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def resize(self, *, columns: int, lines: int) -> None:
        """Make it another size, and tell the program."""
        self.screen.resize(lines, columns)
        self._resize()
        self.process.send_signal(signal.SIGWINCH)

    def until(self, true: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        """Read until this is so."""
        deadline = time.monotonic() + within_s
        while not true():
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"it did not become so in {within_s:.0f} s:\n{self.text}"
            self._read(min(left_s, 0.1))

    def shows(self, *words: str) -> None:
        """Read until all of these stand on it, wherever lines break."""
        self.until(lambda: all(word in " ".join(self.text.split()) for word in words))

    def watch(self, seconds: float) -> None:
        """Read for so long, whatever comes."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            self._read(left_s)

    def ended(self) -> int:
        """The program's exit status."""
        self.until(lambda: self.process.poll() is not None)
        self._read(0)
        return self.process.returncode

    @property
    def is_as_it_was(self) -> bool:
        """Whether its line has the settings of before, the cursor is seen, and what stood there is back."""
        settings_stand = termios.tcgetattr(self._theirs) == self._settings
        return settings_stand and not self.screen.cursor.hidden and _OTHER_SCREEN not in self.screen.mode

    def _read(self, most_s: float) -> None:
        if select.select([self._ours], [], [], most_s)[0]:
            came = os.read(self._ours, 65536)
            self.written += len(came)
            self._stream.feed(came)

    def _resize(self) -> None:
        size = struct.pack("HHHH", self.screen.lines, self.screen.columns, 0, 0)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)
