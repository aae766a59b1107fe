"""Put a configuration in force when its file changes. For a companion that nobody sends SIGHUP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from collabd.config import CloudConfig, Loaded
from collabd.file_changes import FileChanges
from collabd.systemd.reload import reload


async def reload_at_change(
    changes: FileChanges,
    read: Callable[[], Loaded[CloudConfig]],
    apply: Callable[[Loaded[CloudConfig]], Awaitable[None]],
) -> None:
    """With each change give `apply` what `read` gives, until cancelled. What cannot be used changes nothing."""
    while changes.files:
        await changes.next()
        await reload(read, apply)
