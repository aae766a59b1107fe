"""Choosing a plan: pure functions of plain data; no I/O, no clock, nothing that remembers.

`candidates` (what could be done) and `state` (how things are now) → `predict` (what each would take) → `choose`.
"""

from collabd.planning.candidates import Candidate, Candidates
from collabd.planning.choose import Decision, Reason, choose
from collabd.planning.hedging import hedged
from collabd.planning.limits import Caps
from collabd.planning.patience import local_start_s, lost_after_s
from collabd.planning.predict import Prediction, predict
from collabd.planning.state import CallFacts, CloudState, DeviceState
from collabd.planning.wait import Wait, expected_wait

__all__ = [
    "CallFacts",
    "Candidate",
    "Candidates",
    "Caps",
    "CloudState",
    "Decision",
    "DeviceState",
    "Prediction",
    "Reason",
    "Wait",
    "choose",
    "expected_wait",
    "hedged",
    "local_start_s",
    "lost_after_s",
    "predict",
]
