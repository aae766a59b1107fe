"""What `make live` has found, as it is kept in build/bench/live.json, to be drawn."""

from __future__ import annotations

import msgspec

from collabd.simulation.samples import Form
from tests.bench.live.orders import Outcome


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of a network over a link of this rate, with what was predicted for each."""

    model: str
    form: Form
    mbit: float
    outcomes: list[Outcome]


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """In each trial, the request from which on plans were right again: behind a change (1: the first), and back."""

    name: str
    there: list[int]
    back: list[int]


class Capped(msgspec.Struct, frozen=True, kw_only=True):
    """A cap that some plan keeps, and what was predicted and measured under it. `kind`: "energy" or "cost"."""

    kind: str
    cap: float
    predicted: float
    measured: float


class LiveReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `due`: the request by which plans are to be right again."""

    date: str
    load: float
    share: float
    due: int
    predicted: list[Predicted]
    reactions: list[Reaction]
    capped: list[Capped]
