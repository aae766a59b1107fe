"""Which fault comes when: drawn from a seed, pure, endless."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from random import Random

# The part that each fault holds: two faults with one holder never overlap, all others may. The table has this order.
HOLDERS = {
    "companion killed": "companion",
    "companion stopped by SIGTERM": "companion",
    "companion frozen (SIGSTOP)": "companion",
    "collabd killed": "device",
    "collabd stopped by SIGTERM": "device",
    "link black-holed": "link",
    "link reset": "link",
    "link at 10 kbit/s": "link",
    "connections gone silent": "link",
    "bytes flipped": "bytes",
    "replies truncated": "bytes",
    "replies of another digest": "answers",
    "features of NaN": "answers",
    "answers of NaN": "answers",
    "model replaced": "models",
    "companion re-keyed": "keys",
    "disks full": "disks",
    "clocks stepped": "clocks",
}
KINDS = tuple(HOLDERS)
# The least and the most seconds that a fault lasts. A restart always lasts until the daemon answers.
_LASTS_S = (1.5, 5.0)
# The next fault begins after this share of the present one's time: below 1 the two overlap.
_OVERLAP = (0.4, 1.5)
# After this many faults a pause follows, so that the companion is used again: its breaker is open for 5 s.
_BEFORE_PEACE = 3
_PEACE_S = (5.0, 8.0)


@dataclass(frozen=True)
class Fault:
    """One fault; seconds from the beginning. `draw`: 0..1, for whatever else there is to choose."""

    kind: str
    at_s: float
    lasts_s: float
    draw: float


def schedule(seed: int, kinds: Collection[str], pace: float = 1.0) -> Iterator[Fault]:
    """Endless faults in the order of their beginning; the whole schedule runs this many times as fast.

    Each kind comes once before any comes again.
    """
    luck = Random(seed)
    free_at = dict.fromkeys(HOLDERS.values(), 0.0)
    at_s, drawn = 0.0, 0
    while True:
        for kind in luck.sample(sorted(kinds), len(kinds)):
            lasts_s = luck.uniform(*_LASTS_S) / pace
            at_s = max(at_s, free_at[HOLDERS[kind]])
            yield Fault(kind, at_s, lasts_s, luck.random())
            free_at[HOLDERS[kind]] = at_s + lasts_s
            drawn += 1
            at_s += lasts_s * luck.uniform(*_OVERLAP)
            if drawn % _BEFORE_PEACE == 0:
                at_s = max(at_s, *free_at.values()) + luck.uniform(*_PEACE_S) / pace
