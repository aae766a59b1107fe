"""All errors of collabd, as one tree.

The daemons raise these same classes. A reply carries the ``code`` of the class with an HTTP status, and the SDK raises
the class of that code. So an application catches the class that the daemon raised::

    CollabError
    ├── DaemonUnavailable        no daemon answers behind the socket
    ├── PermissionRefused        the daemon knows you and says no
    ├── Unauthorised             the companion does not know the key, or got none
    ├── InvalidRequest           the caller's mistake; nothing was run
    │   ├── InvalidImage         not an image, truncated, empty or too large
    │   ├── InvalidTensor        a tensor's name, shape, dtype or bytes do not fit
    │   ├── InvalidBudget        a budget that cannot be read, or a negative or NaN cap
    │   ├── InvalidPlacement     a placement or cut that the model does not have
    │   ├── InvalidPackage       a model package that is broken, unsafe or of another digest
    │   ├── RequestTooLarge      more bytes than the daemon accepts
    │   └── RequestTimeout       the request stopped coming, or came too slowly
    ├── UnknownModel             no such model is loaded
    ├── UnknownPackage           the companion does not hold the package of this digest
    ├── UnknownRegion            no shared memory region of this name is registered
    ├── BudgetInfeasible         no plan fits, and the caller asked for an error in that case
    ├── NotReady                 the daemon is still loading
    ├── Overloaded               a queue is full; try again later
    ├── StorageUnavailable       the daemon's disk is full, or cannot be written
    ├── CompanionUnavailable     the companion failed, and the call forbade the device to finish
    ├── DownloadFailed           a model package or its index could not be fetched
    ├── DeadlineExceeded         no answer came within the client's timeout_s
    ├── ProtocolError            the peer does not speak our protocol
    ├── WrongTask                the answer of one task was read as that of another
    ├── MissingDependency        an optional package is not installed
    ├── CameraUnavailable        no pictures come from a camera, a URL or a video file
    ├── BrokerUnavailable        an MQTT broker cannot be reached, or refuses
    └── DaemonFault              a defect of the daemon; its journal has the traceback
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from collab_sdk.text import plain, plain_values

__all__ = [
    "BrokerUnavailable",
    "BudgetInfeasible",
    "CameraUnavailable",
    "CollabError",
    "CompanionUnavailable",
    "DaemonFault",
    "DaemonUnavailable",
    "DeadlineExceeded",
    "DownloadFailed",
    "InvalidBudget",
    "InvalidImage",
    "InvalidPackage",
    "InvalidPlacement",
    "InvalidRequest",
    "InvalidTensor",
    "MissingDependency",
    "NotReady",
    "Overloaded",
    "PermissionRefused",
    "ProtocolError",
    "RequestTimeout",
    "RequestTooLarge",
    "StorageUnavailable",
    "Unauthorised",
    "UnknownModel",
    "UnknownPackage",
    "UnknownRegion",
    "WrongTask",
    "from_code",
]


class CollabError(Exception):
    """Base of every error of collabd. ``details`` holds figures that go with the message (JSON scalars).

    The message is one line that is safe to show on a terminal, even if parts of it come from outside.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(plain(message))
        self.details: dict[str, Any] = plain_values(dict(details or {}))


class DaemonUnavailable(CollabError):
    """No daemon answers behind the socket."""

    code = "daemon_unavailable"
    http_status = 503


class PermissionRefused(CollabError):
    """The daemon knows the caller and refuses."""

    code = "permission_refused"
    http_status = 403


class Unauthorised(CollabError):
    """The companion does not know the key of the device, or got none."""

    code = "unauthorised"
    http_status = 401


class InvalidRequest(CollabError):
    """The request cannot be served as it is; nothing was run."""

    code = "invalid_request"
    http_status = 400


class InvalidImage(InvalidRequest):
    """Not an image, truncated, empty or too large."""

    code = "invalid_image"


class InvalidTensor(InvalidRequest):
    """A tensor's name, shape, dtype or bytes do not fit."""

    code = "invalid_tensor"


class InvalidBudget(InvalidRequest):
    """A budget that cannot be read, or a negative or NaN cap."""

    code = "invalid_budget"


class InvalidPlacement(InvalidRequest):
    """A placement or cut that the model does not have."""

    code = "invalid_placement"


class InvalidPackage(InvalidRequest):
    """A model package that is broken, unsafe or of another digest."""

    code = "invalid_package"


class RequestTooLarge(InvalidRequest):
    """More bytes than the daemon accepts in one request."""

    code = "request_too_large"
    http_status = 413


class RequestTimeout(InvalidRequest):
    """The request stopped coming, or came too slowly."""

    code = "request_timeout"
    http_status = 408


class UnknownModel(CollabError):
    """No model of this name is loaded."""

    code = "unknown_model"
    http_status = 404


class UnknownPackage(CollabError):
    """The companion does not hold the package of this digest; it can be pushed."""

    code = "unknown_package"
    http_status = 404


class UnknownRegion(CollabError):
    """The caller has registered no shared memory region of this name, or the daemon has restarted since."""

    code = "unknown_region"
    http_status = 404


class BudgetInfeasible(CollabError):
    """No plan fits the budget; ``details`` holds the nearest plan's predicted figures. Nothing was run."""

    code = "budget_infeasible"
    http_status = 422


class NotReady(CollabError):
    """The daemon is still loading."""

    code = "not_ready"
    http_status = 503


class Overloaded(CollabError):
    """A queue is full; try again later."""

    code = "overloaded"
    http_status = 503


class StorageUnavailable(CollabError):
    """The daemon's disk is full or cannot be written; nothing was changed."""

    code = "storage_unavailable"
    http_status = 507


class CompanionUnavailable(CollabError):
    """The companion failed, and the call forbade the device to finish."""

    code = "companion_unavailable"
    http_status = 502


class DownloadFailed(CollabError):
    """A model package, or the index that names it, could not be fetched; another try may go on from there."""

    code = "download_failed"
    http_status = 502


class DeadlineExceeded(CollabError):
    """No answer came within the client's ``timeout_s``."""

    code = "deadline_exceeded"
    http_status = 504


class ProtocolError(CollabError):
    """The peer does not speak our protocol."""

    code = "protocol_error"
    http_status = 502


class WrongTask(CollabError):
    """The answer of one task was read as that of another: boxes of a classifier, a label of a detector."""

    code = "wrong_task"
    http_status = 400


class MissingDependency(CollabError):
    """What was asked for needs an optional package that is not installed."""

    code = "missing_dependency"


class CameraUnavailable(CollabError):
    """No pictures come from a camera, a URL or a video file; the message says why, and what to do."""

    code = "camera_unavailable"
    http_status = 503


class BrokerUnavailable(CollabError):
    """An MQTT broker cannot be reached, or refuses; the message says why."""

    code = "broker_unavailable"
    http_status = 503


class DaemonFault(CollabError):
    """A defect of the daemon; its journal has the traceback."""


def _tree(root: type[CollabError]) -> list[type[CollabError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


_BY_CODE = {error.code: error for error in _tree(CollabError) if error is not CollabError}


def from_code(code: str, message: str, details: Mapping[str, Any] | None = None) -> CollabError:
    """The error that a reply's ``code`` stands for; an unknown code is a `DaemonFault`."""
    return _BY_CODE.get(code, DaemonFault)(message, details)
