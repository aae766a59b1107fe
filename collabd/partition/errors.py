"""The one error of this stage."""

from __future__ import annotations


class PartitionError(ValueError):
    """The graph cannot be read, or a subgraph was asked for that it does not have."""
