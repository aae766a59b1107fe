"""The terminal: curses writes only the cells that changed, and gives the terminal back as it was."""

from __future__ import annotations

import contextlib
import curses
import os
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from collab_sdk.errors import CollabError
from collabd.ctl.top.glyphs import ASCII
from collabd.ctl.top.lines import ScreenLine, Style
from collabd.ctl.top.page import Page

if TYPE_CHECKING:
    from collab_sdk.reports import StatusReport

# ms. How long a key is waited for before somebody looks whether a report came.
_PATIENCE_MS = 200
# One that every machine knows, for terminals that this one has never heard of.
_COMMON_TERMINAL = "xterm"
_COLOURS = {
    Style.GOOD: curses.COLOR_GREEN,
    Style.WARNING: curses.COLOR_YELLOW,
    Style.BAD: curses.COLOR_RED,
    Style.HEAD: curses.COLOR_CYAN,
    Style.TAIL: curses.COLOR_MAGENTA,
}
_ATTRIBUTES = {
    Style.PLAIN: curses.A_NORMAL,
    Style.STRONG: curses.A_BOLD,
    Style.FAINT: curses.A_DIM,
    Style.HEADING: curses.A_UNDERLINE,
    Style.GOOD: curses.A_NORMAL,
    Style.WARNING: curses.A_BOLD,
    Style.BAD: curses.A_BOLD,
    Style.HEAD: curses.A_NORMAL,
    Style.TAIL: curses.A_NORMAL,
    Style.BANNER: curses.A_REVERSE,
}
_STREAMS = {curses.KEY_UP: -1, ord("k"): -1, curses.KEY_DOWN: 1, ord("j"): 1}
_PAGES = {curses.KEY_PPAGE: -1.0, curses.KEY_NPAGE: 1.0, ord(" "): 1.0, curses.KEY_HOME: -1e6, curses.KEY_END: 1e6}


def show(page: Page, came: SimpleQueue[tuple[float, StatusReport | CollabError]]) -> None:
    """Show the page and all that comes, until somebody presses q."""
    _know_terminal()
    curses.wrapper(_Screen(page, came).run)


def _know_terminal() -> None:
    try:
        curses.setupterm()
    except curses.error:
        os.environ["TERM"] = _COMMON_TERMINAL


class _Screen:
    def __init__(self, page: Page, came: SimpleQueue[tuple[float, StatusReport | CollabError]]) -> None:
        self._page = page
        self._came = came

    def run(self, window: curses.window) -> None:
        attributes = _attributes()
        with contextlib.suppress(curses.error):
            curses.curs_set(0)
        window.timeout(_PATIENCE_MS)
        is_new = True
        while True:
            if is_new:
                height, width = window.getmaxyx()
                _paint(window, self._page.lines(width, height, time.monotonic()), self._page, attributes=attributes)
            key = window.getch()
            if key in {ord("q"), ord("Q")}:
                return
            is_new = self._press(key) | self._listen() | _is_resized(window)

    def _press(self, key: int) -> bool:
        """Whether it was one."""
        if key in {ord("?"), ord("h")}:
            self._page.explains = not self._page.explains
        self._page.scroll(streams=_STREAMS.get(key, 0), pages=_PAGES.get(key, 0.0))
        return key != curses.ERR

    def _listen(self) -> bool:
        """Whether something came."""
        is_new = False
        with contextlib.suppress(Empty):
            while True:
                at, answer = self._came.get_nowait()
                is_new = True
                if isinstance(answer, CollabError):
                    self._page.failed(answer, at)
                else:
                    self._page.heard(answer, at)
        return is_new


def _is_resized(window: curses.window) -> bool:
    """Whether the terminal has another size now. ncurses was seen to miss the signal on a busy machine."""
    columns, lines = os.get_terminal_size()
    if not curses.is_term_resized(lines, columns):
        return False
    curses.resizeterm(lines, columns)
    # What the terminal made of the lines that it had is its own affair.
    window.clearok(True)
    return True


def _attributes() -> dict[Style, int]:
    """What each style looks like here: https://no-color.org, and terminals without colours."""
    if not curses.has_colors():
        return _ATTRIBUTES
    # Else ncurses would paint everything white on black.
    curses.use_default_colors()
    if os.environ.get("NO_COLOR"):
        return _ATTRIBUTES
    for pair, colour in enumerate(_COLOURS.values(), 1):
        curses.init_pair(pair, colour, -1)
    return _ATTRIBUTES | {style: curses.color_pair(pair) for pair, style in enumerate(_COLOURS, 1)}


def _paint(window: curses.window, lines: Sequence[ScreenLine], page: Page, *, attributes: dict[Style, int]) -> None:
    window.erase()
    for row, line in enumerate(lines):
        column = 0
        for text, style in line.pieces:
            shown = text.encode("ascii", "replace").decode() if page.glyphs is ASCII else text
            # The last cell of all is written, but the cursor has nowhere to go from there.
            with contextlib.suppress(curses.error):
                window.addstr(row, column, shown, attributes[style])
            column += ScreenLine.of(text).width
    window.refresh()
