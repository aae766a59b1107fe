"""What a program prints, waited for with a bound: one that does not say it fails the test, and hangs nothing."""

from __future__ import annotations

import codecs
import os
import re
import select
import time
from typing import IO, Any

from tests.patience import PATIENCE_S


class Said:
    """What came out of a pipe or terminal so far: its `text`. Nobody else reads from it meanwhile."""

    def __init__(self, source: IO[Any] | int | None) -> None:
        assert source is not None
        self._descriptor = source if isinstance(source, int) else source.fileno()
        # A character may come in two parts.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""

    def until(self, pattern: str, within_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait until it has said this: a regular expression."""
        deadline = time.monotonic() + within_s
        while (found := re.search(pattern, self.text)) is None:
            assert self._has_more(deadline, pattern), f"it has ended without {pattern!r}: {self.text!r}"
        return found

    def to_the_end(self) -> str:
        """All that it says until it ends."""
        deadline = time.monotonic() + PATIENCE_S
        while self._has_more(deadline, "the end"):
            pass
        return self.text

    def _has_more(self, deadline: float, wanted: str) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        left_s = deadline - time.monotonic()
        assert poll.poll(max(1e3 * left_s, 0)), f"{wanted!r} did not come in time: {self.text!r}"
        try:
            came = os.read(self._descriptor, 65536)
        except OSError:
            came = b""  # how Linux says that the other end of a terminal is closed
        self.text += self._decoder.decode(came)
        return bool(came)
