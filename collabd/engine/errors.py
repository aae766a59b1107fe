"""The one error of this stage."""

from __future__ import annotations


class EngineError(RuntimeError):
    """A part of a network cannot be built, its feeds do not fit, or running it failed."""


class ProviderFailed(EngineError):
    """A provider other than the CPU's could not build or run a part of a network. Another may be able to."""
