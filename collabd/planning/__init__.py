"""Choosing a plan: pure functions of plain data; no I/O, no clock, nothing that remembers.

`candidates` (what could be done) and `state` (how things are now) → `predict` (what each would take) → `choose`.
"""

from collabd.planning.candidates import Candidate, Candidates
from collabd.planning.choose import Decision, choose
from collabd.planning.hedging import hedged
from collabd.planning.limits import Caps
from collabd.planning.patience import local_start_s, lost_after_s
from collabd.planning.predict import Prediction, Request, predict
from collabd.planning.state import CloudState, DeviceState
from collabd.planning.wait import Wait, expected_wait

__all__ = [
    "Candidate",
    "Candidates",
    "Caps",
    "CloudState",
    "Decision",
    "DeviceState",
    "Prediction",
    "Request",
    "Wait",
    "choose",
    "expected_wait",
    "hedged",
    "local_start_s",
    "lost_after_s",
    "predict",
]
