"""Programs that try a provider as the daemons do, in a process of its own, where the provider is not what it should be.

They take OpenVINO for what the installed runtime has, so they run with any.
"""

from __future__ import annotations

import sys

_PROGRAM = """
import os, sys
from collabd.engine import Engine, Session
from collabd.providers import __main__ as trial, agreement, reduced

class Provided(Engine):
    def __init__(self, **sizes):
        super().__init__(**sizes, new_session=self._new_session_of)

    @staticmethod
    def _new_session_of(part, threads, provider, *, precision):
        if provider != "cpu":
            {built}
        return Session(part, threads)

    def run(self, key, feeds, outputs, **how):
        found = super().run(key, feeds, outputs, **how)
        if self.providers(key)[0] != "cpu":
            {ran}
        return found

agreement.Engine = reduced.Engine = Provided
sys.exit(trial.main(*sys.argv[1:]))
"""


def trial_where(*, built: str = "pass", ran: str = "pass") -> tuple[str, ...]:
    """The command of a trial that does these when the provider has `built` a session, and `ran` to find `found`."""
    return sys.executable, "-I", "-c", _PROGRAM.format(built=built, ran=ran)
