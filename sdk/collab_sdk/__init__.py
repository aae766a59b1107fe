"""The client of collabd: ``infer(image, budget)``, answered by this machine and its companion together.

>>> import collab_sdk
>>> result = collab_sdk.infer("cat.jpg", "80ms")  # doctest: +SKIP
>>> result.label, result.plan.cut, result.budget_met  # doctest: +SKIP
('tabby', 'image', True)

Every error is a `CollabError`; `collab_sdk.errors` shows the tree. `collab_sdk.wire` is the protocol underneath, for
those who write daemons and other clients; `collab_sdk.reports` holds the types of the daemon's reports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from collab_sdk._version import __version__ as __version__
from collab_sdk.errors import (
    BrokerUnavailable,
    BudgetInfeasible,
    CameraUnavailable,
    CollabError,
    CompanionUnavailable,
    DaemonFault,
    DaemonUnavailable,
    DeadlineExceeded,
    DownloadFailed,
    InvalidBudget,
    InvalidImage,
    InvalidPackage,
    InvalidPlacement,
    InvalidRequest,
    InvalidTensor,
    MissingDependency,
    NotReady,
    Overloaded,
    PermissionRefused,
    ProtocolError,
    RequestTimeout,
    RequestTooLarge,
    StorageUnavailable,
    Unauthorised,
    UnknownModel,
    UnknownPackage,
    UnknownRegion,
    WrongTask,
)

if TYPE_CHECKING:
    from collab_sdk._default import infer
    from collab_sdk.aio import AsyncClient
    from collab_sdk.answers import Classification, Detection, Detections, RawOutputs, Segmentation
    from collab_sdk.budget import Budget
    from collab_sdk.channels import Channels
    from collab_sdk.client import Client
    from collab_sdk.control import ControlClient
    from collab_sdk.mock import MockTransport
    from collab_sdk.result import Plan, Predicted, Result, Timings
    from collab_sdk.transport import Transport
    from collab_sdk.unix import UnixTransport
    from collab_sdk.vocabulary import (
        BreakerState,
        Cap,
        CompanionState,
        EnergySource,
        Fallback,
        Objective,
        OnInfeasible,
        Reason,
        ScoreKind,
        TaskKind,
    )

__all__ = [
    "AsyncClient",
    "BreakerState",
    "BrokerUnavailable",
    "Budget",
    "BudgetInfeasible",
    "CameraUnavailable",
    "Cap",
    "Channels",
    "Classification",
    "Client",
    "CollabError",
    "CompanionState",
    "CompanionUnavailable",
    "ControlClient",
    "DaemonFault",
    "DaemonUnavailable",
    "DeadlineExceeded",
    "Detection",
    "Detections",
    "DownloadFailed",
    "EnergySource",
    "Fallback",
    "InvalidBudget",
    "InvalidImage",
    "InvalidPackage",
    "InvalidPlacement",
    "InvalidRequest",
    "InvalidTensor",
    "MissingDependency",
    "MockTransport",
    "NotReady",
    "Objective",
    "OnInfeasible",
    "Overloaded",
    "PermissionRefused",
    "Plan",
    "Predicted",
    "ProtocolError",
    "RawOutputs",
    "Reason",
    "RequestTimeout",
    "RequestTooLarge",
    "Result",
    "ScoreKind",
    "Segmentation",
    "StorageUnavailable",
    "TaskKind",
    "Timings",
    "Transport",
    "Unauthorised",
    "UnixTransport",
    "UnknownModel",
    "UnknownPackage",
    "UnknownRegion",
    "WrongTask",
    "infer",
]

# Each name is imported at its first use. numpy and asyncio take most of the import time, and a program that only asks
# for the daemon's status needs neither.
_HOMES = {
    "AsyncClient": "aio",
    "BreakerState": "vocabulary",
    "Budget": "budget",
    "Cap": "vocabulary",
    "Channels": "channels",
    "Classification": "answers",
    "Client": "client",
    "CompanionState": "vocabulary",
    "ControlClient": "control",
    "Detection": "answers",
    "Detections": "answers",
    "EnergySource": "vocabulary",
    "Fallback": "vocabulary",
    "MockTransport": "mock",
    "Objective": "vocabulary",
    "OnInfeasible": "vocabulary",
    "Plan": "result",
    "Predicted": "result",
    "RawOutputs": "answers",
    "Reason": "vocabulary",
    "Result": "result",
    "ScoreKind": "vocabulary",
    "Segmentation": "answers",
    "TaskKind": "vocabulary",
    "Timings": "result",
    "Transport": "transport",
    "UnixTransport": "unix",
    "infer": "_default",
}

# A type checker that sees `__getattr__` believes that the module has every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
