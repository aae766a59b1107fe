"""The SDK: which of its names stand where on its page. mkdocstrings writes the rest from signatures and docstrings."""

from __future__ import annotations

import collab_sdk
from collab_sdk.errors import CollabError

# In the order of the page. Errors have a page of their own.
GROUPS = {
    "Calling": ["infer", "Client", "AsyncClient", "ControlClient"],
    "Budgets and pictures": ["Budget", "Channels"],
    "Answers": ["Result", "Plan", "Predicted", "Timings", "Classification", "Detections", "Detection", "Segmentation",
                "RawOutputs"],
    "Words": ["Fallback", "OnInfeasible", "Objective", "Cap", "Reason", "TaskKind", "ScoreKind", "CompanionState",
              "BreakerState", "EnergySource"],
    "Testing": ["MockTransport", "Transport", "UnixTransport"],
}  # fmt: skip


def elsewhere() -> set[str]:
    """Public names that the page leaves to the page of errors."""
    named = {name: getattr(collab_sdk, name) for name in collab_sdk.__all__}
    return {name for name, it in named.items() if isinstance(it, type) and issubclass(it, CollabError)}


def page() -> str:
    """All public names but the errors, which mkdocstrings writes."""
    parts = []
    for title, names in GROUPS.items():
        blocks = "\n".join(f"::: {_home(name)}\n    options:\n      heading_level: 3\n" for name in names)
        parts.append(f"## {title}\n\n{blocks}")
    return "\n".join(parts)


def _home(name: str) -> str:
    """Where a public name is defined."""
    it = getattr(collab_sdk, name)
    return f"{it.__module__}.{it.__name__}"
