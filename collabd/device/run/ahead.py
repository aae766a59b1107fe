"""Builds the sessions that the next calls may need, before they need them.

A session takes as long to build as several runs of its layers: 40 ms for most of EfficientNet-Lite0 on a PC, where a
run takes 10 ms. When a companion fails, the call that finds out has no time for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator

from collab_sdk.vocabulary import Fallback, Precision
from collabd.device.job.job import Job
from collabd.device.lane.lane import Lane
from collabd.engine import Engine, EngineError

log = logging.getLogger(__name__)

# The calls that brought a new choice are through by then, and the next may come from time to time.
_PAUSE_S = 1.0
# What is built ahead takes no room from what calls have used: it ends where this share of the cache is taken.
_MOST_SHARE = 0.5


class SessionsAhead:
    """A background task. It looks at the jobs that `likely` returns, a moment after `changed` was set."""

    def __init__(
        self, likely: Callable[[], Iterable[Job]], changed: asyncio.Event, engine: Engine, *, lane: Lane
    ) -> None:
        self._likely = likely
        self._changed = changed
        self._engine = engine
        self._lane = lane

    async def run(self) -> None:
        """Build sessions in the pauses between calls, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_PAUSE_S)
            self._changed.clear()
            await self._build_all()

    async def _build_all(self) -> None:
        for job in self._likely():
            await self._build(job)

    async def _build(self, job: Job) -> None:
        for precision, inputs, outputs in parts_of(job):
            key = job.model.keys[precision]
            if self._lane.busy or self._engine.stats.bytes > _MOST_SHARE * self._engine.cache_bytes:
                return
            if self._engine.has(key, inputs, outputs):
                continue
            try:
                # Not on the lane, where a call that comes meanwhile would wait for the whole session.
                await asyncio.to_thread(self._engine.prepare, key, inputs, outputs)
            except EngineError as error:
                # The call that needs it will say so too.
                log.debug("%s: no session from %s to %s: %s", job.model.manifest.name, inputs, outputs, error)


def parts_of(job: Job) -> Iterator[tuple[Precision, tuple[str, ...], tuple[str, ...]]]:
    """The parts of the network that the device runs for a job, also if a companion fails.

    Their precisions, inputs and outputs.
    """
    model = job.model
    known = model.inputs
    for step in job.steps:
        outputs = tuple(name for name in model.frontiers[step.stage.last - 1] if name not in known)
        if step.crossing is None:
            yield step.precision, model.needed(known, outputs), outputs
        elif job.fallback == Fallback.LOCAL:
            missing = tuple(name for name in model.outputs if name not in known)
            yield step.crossing.rest_in, model.needed(known, missing), missing
        known += outputs
