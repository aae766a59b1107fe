"""The package that speaks multicast DNS. It is an extra."""

from __future__ import annotations

from importlib.util import find_spec

MISSING = "needs the package zeroconf: pip install 'collabd[find]'"


def is_installed() -> bool:
    """Whether it can be imported; this does not yet import it."""
    return find_spec("zeroconf") is not None
