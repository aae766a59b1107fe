"""The control groups that this process runs in, by either version of the kernel's interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Group:
    """One control group. `second`: of version 2, whose files have other names."""

    directory: Path
    second: bool

    def numbers(self, file: str) -> list[int]:
        """The numbers in a file of the group; none if there is no such file, or no limit in it ("max")."""
        try:
            return [int(word) for word in (self.directory / file).read_text().split()]
        except (OSError, ValueError):
            return []


def own_groups(controller: str, *, mounted: Path = Path("/sys/fs/cgroup"), own: Path = _OWN) -> Iterator[Group]:
    """The groups of this process that `controller` may limit, and those around them, whose limits hold as well.

    `mounted`: where control groups are mounted. `own`: the file that names those of this process.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        second = not controllers
        if not second and controller not in controllers.split(","):
            continue
        root = mounted if second else mounted / controller
        group = root / path.lstrip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(root):
                break
            yield Group(place, second)
