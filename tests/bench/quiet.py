"""What both daemons take while nobody calls."""

from __future__ import annotations

import time

from tests.bench.daemons import Daemons
from tests.bench.device import spent
from tests.bench.table import table

# After a minute without a call the last background task looks seldom.
_QUIET_S = 75.0
_MEASURED_S = 60.0
_DAEMONS = {"device": "collabd", "cloud": "collab-cloudd"}


def measure(daemons: Daemons) -> None:
    """Print it, a good two minutes later. Both must run, and nobody may call them."""
    time.sleep(_QUIET_S)
    before = {side: spent(daemons.pid(side)) for side in _DAEMONS}
    time.sleep(_MEASURED_S)
    used = {side: spent(daemons.pid(side)) - before[side] for side in _DAEMONS}
    rows = [(name, f"{used[side].cpu_s / _MEASURED_S:.3%}") for side, name in _DAEMONS.items()]
    print(table(("While nobody calls", "of one core"), rows))
    print()
