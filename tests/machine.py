"""The machine on which tests run, as far as what they find must not depend on how busy it is."""

from __future__ import annotations

from pathlib import Path

from collabd.sensing.machine.sources import MachineSources
from collabd.sensing.reading import NotMeasured

_HIDDEN = NotMeasured("a machine that shows nothing")
# For daemons and planners within the process of a test: nothing is measured, and plans are made as on a machine that
# has nothing else to do. Daemons with a process of their own (tests/system, tests/chaos, the README's) read the real
# one: what is asked of them holds on a busy machine too.
SHOWS_NOTHING = MachineSources(Path("/nonexistent"), lambda: _HIDDEN, lambda *_: _HIDDEN)
