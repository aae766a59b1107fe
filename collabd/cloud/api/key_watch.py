"""Puts key files into force when they change, without a reload: the companions of one balancer share them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from collabd.config import CloudServerSettings
from collabd.file_changes import FileChanges
from collabd.keys.files import KeyProblem

log = logging.getLogger(__name__)


def key_files(server: CloudServerSettings) -> list[Path]:
    """Those that may change."""
    return [Path(path) for path in (server.token_file, server.tls_cert, server.tls_key) if path]


async def renew_at_change(changes: FileChanges, renew: Callable[[], None]) -> None:
    """`renew` the keys with each change, until cancelled. Keys that cannot be used leave the old ones in force."""
    while changes.files:
        await changes.next()
        try:
            renew()
        except KeyProblem as problem:
            log.error("the old keys stay in force: %s", problem)  # noqa: TRY400  a traceback says no more
        else:
            log.info("the key files changed, and are in force")
