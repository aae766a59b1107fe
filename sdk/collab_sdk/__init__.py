"""The client of collabd: ``infer(image, budget)``, answered by this machine and its companion together.

>>> import collab_sdk
>>> result = collab_sdk.infer("cat.jpg", "80ms")  # doctest: +SKIP
>>> result.label, result.plan.cut, result.budget_met  # doctest: +SKIP
('tabby', 'image', True)

Every error is a `CollabError`; `collab_sdk.errors` shows the tree. `collab_sdk.wire` is the protocol underneath, for
those who write daemons and other clients; `collab_sdk.reports` holds the types of the daemon's reports.
"""

from __future__ import annotations

from collab_sdk._default import infer
from collab_sdk.aio import AsyncClient
from collab_sdk.budget import Budget
from collab_sdk.client import Client
from collab_sdk.errors import (
    BudgetInfeasible,
    CollabError,
    CompanionUnavailable,
    DaemonFault,
    DaemonUnavailable,
    DeadlineExceeded,
    InvalidBudget,
    InvalidImage,
    InvalidPackage,
    InvalidPlacement,
    InvalidRequest,
    InvalidTensor,
    NotReady,
    Overloaded,
    PermissionRefused,
    ProtocolError,
    RequestTooLarge,
    UnknownModel,
    UnknownPackage,
)
from collab_sdk.result import Plan, Predicted, Result, Timings

__all__ = [
    "AsyncClient",
    "Budget",
    "BudgetInfeasible",
    "Client",
    "CollabError",
    "CompanionUnavailable",
    "DaemonFault",
    "DaemonUnavailable",
    "DeadlineExceeded",
    "InvalidBudget",
    "InvalidImage",
    "InvalidPackage",
    "InvalidPlacement",
    "InvalidRequest",
    "InvalidTensor",
    "NotReady",
    "Overloaded",
    "PermissionRefused",
    "Plan",
    "Predicted",
    "ProtocolError",
    "RequestTooLarge",
    "Result",
    "Timings",
    "UnknownModel",
    "UnknownPackage",
    "infer",
]
