"""Control groups written into a folder, as the kernel shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collabd.limits.cgroups import Group, own_groups


def groups_of(folder: Path, controller: str, *, own: str, files: Mapping[str, str]) -> list[Group]:
    """The groups of a process. `own`: what the kernel says of it. `files`: what is mounted, by path."""
    for name, text in {"own": own, **{f"mounted/{name}": text for name, text in files.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return list(own_groups(controller, mounted=folder / "mounted", own=folder / "own"))
