"""The graph of a pushed package: what is asked of it before it is run, in the process that tries it."""

from __future__ import annotations

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.effort import require_bounded
from collabd.catalog.package.package import MALFORMED
from collabd.catalog.trial.plain_graph import read_plain
from tests.fuzz import tiny

WORDS = (
    *("Conv", "Gemm", "Relu", "Flatten", "Loop", "If", "NonZero", "Range", "Expand", "perm"),
    *("kernel_shape", "batch", "relu"),
)


def check(data: bytes) -> None:
    """Refused, or a network whose every size is known."""
    try:
        network = require_bounded(read_plain(data))
    except (InvalidPackage, *MALFORMED):
        return
    assert network.inputs


def seeds() -> list[bytes]:
    """A sound one."""
    return [tiny.graph().SerializeToString()]
