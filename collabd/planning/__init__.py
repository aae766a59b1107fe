"""Choosing a plan, by pure functions of plain data: no I/O, no clock, and no memory of earlier calls.

`candidates` (what could be done) and `state` (what is known now) → `phases` (how long each part takes) → `predict`
(what each candidate takes) → `choose`.
"""

from collabd.planning.candidates import Candidate, Candidates
from collabd.planning.caps import Caps
from collabd.planning.choose import Decision, choose
from collabd.planning.hedging import hedged
from collabd.planning.patience import local_start_s, lost_after_s, queue_patience_s
from collabd.planning.predict import Prediction, predict
from collabd.planning.state import CallFacts, Circumstances, CloudState, DeviceState
from collabd.planning.wait import Wait, expected_wait

__all__ = [
    "CallFacts",
    "Candidate",
    "Candidates",
    "Caps",
    "Circumstances",
    "CloudState",
    "Decision",
    "DeviceState",
    "Prediction",
    "Wait",
    "choose",
    "expected_wait",
    "hedged",
    "local_start_s",
    "lost_after_s",
    "predict",
    "queue_patience_s",
]
