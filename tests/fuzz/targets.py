"""The list of fuzz targets: each edge of the product where untrusted bytes come in."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

CORPUS = Path(__file__).with_name("corpus")


class Edge(Protocol):
    """A module of `tests.fuzz.edges`."""

    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@dataclass(frozen=True)
class Target:
    """One edge. `share` of a thousand executions go to it; `traced`: packages beside ours whose branches count."""

    name: str
    share: int
    max_len: int = 4096
    traced: tuple[str, ...] = ()

    @property
    def edge(self) -> Edge:
        """Its module, whose `check` raises only for a defect."""
        return cast("Edge", importlib.import_module(f"tests.fuzz.edges.{self.name}"))

    @property
    def words(self) -> tuple[str, ...]:
        """What its inputs are made of: libFuzzer's dictionary."""
        return tuple(getattr(self.edge, "WORDS", ()))

    def kept(self) -> Iterator[Path]:
        """The inputs that once broke something, or could have."""
        return iter(sorted((CORPUS / self.name).glob("*")))


# The slowest targets come first, so that none runs alone at the end. The shares follow the time of one execution.
TARGETS = (
    Target("cloud_http", 30),
    Target("device_http", 30),
    Target("companion", 40),
    Target("bundle", 10, 16384, ("tarfile",)),
    Target("package", 40, 16384),
    Target("graph", 10),
    Target("image", 80, 8192, ("PIL",)),
    Target("sensing", 30),
    Target("intake", 100),
    Target("items", 100, 8192),
    Target("profile", 60, 8192),
    Target("request", 160, 8192),
    Target("response", 80, 8192),
    Target("reply", 20, 2048),
    Target("frigate", 100, 2048),
    Target("codec", 100),
    Target("roundtrip", 60, 2048),
    Target("config", 50, 4096, ("tomllib",)),
    Target("keys", 40),
    Target("traces", 50, 4096, ("csv", "json")),
    Target("budget", 50, 1024),
    Target("deepstack", 60, 4096, ("python_multipart",)),
    Target("doods", 60),
)
