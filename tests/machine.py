"""The machine on which tests run, as far as what they find must not depend on how busy it is."""

from __future__ import annotations

from pathlib import Path

# The root for sensors of daemons and planners within the process of a test: nothing is measured there, and plans are
# made as on a machine that has nothing else to do. Daemons with a process of their own (tests/system, tests/chaos, the
# README's) read the real one: what is asked of them holds on a busy machine too.
SHOWS_NOTHING = Path("/nonexistent")
