"""Things that are let go with their last user, whatever has taken their place meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UseCount:
    """Counts the users of one thing, on the event loop."""

    def __init__(self) -> None:
        self.users = 0
        self._let_go: Callable[[], None] | None = None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Around each use, begun before the thing is retired."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
            if self._let_go is not None and not self.users:
                self._let_go()

    def retire(self, let_go: Callable[[], None]) -> None:
        """Nobody new will use it: call `let_go` once nobody does."""
        if self.users:
            self._let_go = let_go
        else:
            let_go()
