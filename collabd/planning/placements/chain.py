"""What a placement with any number of crossings is made of: segments, and the frontiers that cross between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from collabd.planning.candidates import Candidate, Candidates

# The companion of a step that starts a request, which has its fixed costs, and of one within a request.
NEW_REQUEST, SAME_REQUEST = 0, 1


@dataclass(frozen=True, kw_only=True)
class CrossingOption:
    """One codec for one frontier in one direction: encoded on one machine, decoded on the other, both profiled idle."""

    # For "source", up from the first segment: the bytes are those besides the file, and no codec takes any time.
    codec: str
    sent_bytes: float
    device_s: float = 0.0
    cloud_s: float = 0.0
    # How often the top-1 equals the unsplit network's, 0..1.
    fidelity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Chain:
    """n segments on the device and on one companion; seconds as profiled, none of the figures negative.

    `up[k]` are the ways for the frontier before segment k to the companion, `down[k]` those for the one behind it
    back: the last is the answer's. No ways: no crossing there. Raises `ValueError` where the lengths differ.
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
        """Nothing; then of each segment its run on the device, its ways up, its run on the companion, its ways down.

        Each stands as a plan of its own, so that the formulas of all plans are the formulas of these.
        """
        return Candidates([_step(None), *(row for k in range(len(self)) for row in self._steps_of(k))])

    @property
    def sizes(self) -> list[int]:
        """How many rows each of these takes in `steps`."""
        return [1, *(size for up, down in zip(self.up, self.down, strict=True) for size in (1, len(up), 1, len(down)))]

    def _steps_of(self, k: int) -> Iterator[Candidate]:
        yield _step(None, head_s=self.device_s[k])
        for way in self.up[k]:
            yield _step(NEW_REQUEST, way, up_bytes=way.sent_bytes)
        yield _step(SAME_REQUEST, tail_s=self.cloud_s[k])
        for way in self.down[k]:
            yield _step(SAME_REQUEST, way, down_bytes=way.sent_bytes)


_FREE = CrossingOption(codec="none", sent_bytes=0.0)


def _step(
    cloud: int | None,
    way: CrossingOption = _FREE,
    *,
    head_s: float = 0.0,
    tail_s: float = 0.0,
    up_bytes: float = 0.0,
    down_bytes: float = 0.0,
) -> Candidate:
    return Candidate(
        cut="",
        codec=way.codec,
        cloud=cloud,
        head_s=head_s,
        encode_s=way.device_s,
        up_bytes=up_bytes,
        down_bytes=down_bytes,
        decode_s=way.cloud_s,
        tail_s=tail_s,
        local_tail_s=0.0,
        fidelity=way.fidelity,
    )
