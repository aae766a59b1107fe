"""What a placement with any number of crossings is made of: segments, and the frontiers that cross between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from collabd.planning.candidates import Candidate, Candidates

# Whom a step asks: a companion with the fixed costs of a request where it starts one, else the same one without them.
NEW_REQUEST, SAME_REQUEST = 0, 1


@dataclass(frozen=True, kw_only=True)
class CrossingOption:
    """One codec for one frontier in one direction. The seconds of encoding and decoding are profiled on idle machines.

    The codec "source", up from the first segment, sends the file: its bytes are those beside the file, and neither
    machine spends time on it.
    """

    codec: str
    sent_bytes: float
    device_s: float = 0.0
    cloud_s: float = 0.0
    # How often the top-1 equals the unsplit network's, 0..1.
    fidelity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Chain:
    """n segments on the device and on one companion; seconds as profiled. No figure is negative.

    `up[k]` are the options to send the frontier before segment k to the companion, `down[k]` those to return the
    frontier behind segment k; the last returns the answer. Without options nothing crosses there. Raises `ValueError`
    where the lengths differ.
    """

    # Index of the companion in the states given to `place`.
    cloud: int
    device_s: tuple[float, ...]
    cloud_s: tuple[float, ...]
    up: tuple[tuple[CrossingOption, ...], ...]
    down: tuple[tuple[CrossingOption, ...], ...]

    def __post_init__(self) -> None:
        if not len(self.device_s) == len(self.cloud_s) == len(self.up) == len(self.down):
            raise ValueError("a chain has as many times, and frontiers in each direction, as it has segments")

    def __len__(self) -> int:
        return len(self.device_s)

    @cached_property
    def steps(self) -> Candidates:
        """A step that does nothing; then for each segment its run on the device, its options up, its run on the
        companion, and its options down.

        Each step stands as a candidate, so that the formulas of candidates hold for steps.
        """
        return Candidates([_step(None), *(row for k in range(len(self)) for row in self._steps_of(k))])

    def _steps_of(self, k: int) -> Iterator[Candidate]:
        yield _step(None, head_s=self.device_s[k])
        for option in self.up[k]:
            yield _step(NEW_REQUEST, option, up_bytes=option.sent_bytes)
        yield _step(SAME_REQUEST, tail_s=self.cloud_s[k])
        for option in self.down[k]:
            yield _step(SAME_REQUEST, option, down_bytes=option.sent_bytes)


_FREE = CrossingOption(codec="none", sent_bytes=0.0)


def _step(
    cloud: int | None,
    option: CrossingOption = _FREE,
    *,
    head_s: float = 0.0,
    tail_s: float = 0.0,
    up_bytes: float = 0.0,
    down_bytes: float = 0.0,
) -> Candidate:
    return Candidate(
        cut="",
        codec=option.codec,
        cloud=cloud,
        head_s=head_s,
        encode_s=option.device_s,
        up_bytes=up_bytes,
        down_bytes=down_bytes,
        decode_s=option.cloud_s,
        tail_s=tail_s,
        local_tail_s=0.0,
        fidelity=option.fidelity,
    )
