"""Things that have been replaced, and are let go when their last user is done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self


class UseCount:
    """Counts the users of one thing. For one thread, the event loop's."""

    def __init__(self) -> None:
        self.users = 0
        self._let_go: Callable[[], None] | None = None

    def in_use(self) -> Self:
        """Each use is inside this context. It begins before the thing is retired."""
        return self

    def __enter__(self) -> Self:
        self.users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if self._let_go is not None and not self.users:
            # It refers to the thing, which refers to this count: without a circle the thing is freed at once.
            let_go, self._let_go = self._let_go, None
            let_go()

    def retire(self, let_go: Callable[[], None]) -> None:
        """There will be no new users. Call `let_go` when the last user is done, or now if there is none."""
        if self.users:
            self._let_go = let_go
        else:
            let_go()
