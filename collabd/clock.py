"""The clock that is passed in wherever time decides something, so that tests and simulations can pass their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

# Seconds that never go back. Deadlines are set on event loops by it, so it has to be the loop's own clock.
Clock: TypeAlias = Callable[[], float]

# asyncio's and uvloop's event loops go by the same clock of the kernel, CLOCK_MONOTONIC.
MONOTONIC: Clock = time.monotonic
