"""What the bench orders of the caller, which runs on the device, and what that reports. Both cross as lines of JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

Form = Literal["file", "frame"]


class Compare(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Call all alternatives in turn, for `rounds` rounds or `most_s` seconds, whichever ends first."""

    network: str
    form: Form
    rounds: int
    most_s: float


class Cost(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Count what `calls` local calls cost, in each of `batches` batches that take turns with the alternatives'."""

    network: str
    form: Form
    batches: int
    calls: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The latencies of one alternative in ms; of collabd also its usual plan, and the latencies that it predicted."""

    name: str
    latencies_ms: list[float]
    plan: str = ""
    predicted_ms: list[float] = []


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What a call cost, by process: ms of CPU, page faults, and kB that the daemon read, mostly from its socket."""

    name: str
    caller_ms: float
    caller_faults: float
    daemon_ms: float = 0.0
    daemon_faults: float = 0.0
    daemon_read_kb: float = 0.0

    @property
    def cpu_ms(self) -> float:
        """Both processes."""
        return self.caller_ms + self.daemon_ms


class Comparison(msgspec.Struct, frozen=True):
    """The answer to `Compare`."""

    measured: list[Measured]


class Costs(msgspec.Struct, frozen=True):
    """The answer to `Cost`."""

    spent: list[Spending]


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller is started with: its peers, by socket, process and address, and package directories by name."""

    socket: str
    collabd: int
    minimal: str
    minimal_pid: int
    server: tuple[str, int]
    packages: dict[str, str]


Order = Compare | Cost
Answer = Comparison | Costs
