"""`collabctl top`: the daemon at work, on the whole terminal."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

import click

from collabd.ctl.command import Command, Failure, client

# s. A daemon that has no time for its status within this is said to be silent.
_TIMEOUT_S = 5.0


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="Print the screen once, as plain text, and end.")
def top(once: bool) -> None:
    """Watch the daemon at work: links, machine, companions, and the calls of each model and stream.

    Each network is a bar from its first layer to its last, with the cut where it was for the last call: what is left of
    it ran on this device, what is right of it on the companion. "?" says what everything is, "q" ends. A daemon that is
    away is waited for.
    """
    if once:
        _print_once()
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "") in {"", "dumb"}:
        raise Failure("this is no terminal that top can draw on: collabctl top --once prints the screen as text")
    try:
        from collabd.ctl.top.screen import show
    except ImportError as error:
        raise Failure(f"this Python comes without curses, which top draws with ({error})") from error
    from collabd.ctl.top.glyphs import own_glyphs
    from collabd.ctl.top.page import Page
    from collabd.ctl.top.watching import watched

    # The terminal must be given back, whatever ends us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with client(_TIMEOUT_S) as daemon, watched(daemon.status) as came:
        show(Page(own_glyphs()), came)


def _print_once() -> None:
    from collabd.ctl.top.glyphs import own_glyphs
    from collabd.ctl.top.page import Page

    page = Page(own_glyphs())
    with client(_TIMEOUT_S) as daemon:
        page.heard(daemon.status(), time.monotonic())
    width, height = shutil.get_terminal_size((80, 24))
    # The last line is about keys.
    for line in page.lines(width, height + 1, time.monotonic())[:-1]:
        click.echo(line.plain.rstrip())
