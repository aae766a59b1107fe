"""The one error of this stage."""

from __future__ import annotations


class PartitionError(ValueError):
    """The graph cannot be read, or it does not have the subgraph that was asked for."""
