"""The plans that could answer a request, as rows and as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]

# A codec of the image cut that encodes nothing: the file that the caller gave travels as it came.
SOURCE = "source"


@dataclass(frozen=True)
class Candidate:
    """One plan with one crossing, or none: times as profiled, in seconds on an idle machine of its kind."""

    cut: str
    codec: str
    # Index of the companion in the states given to `predict`; None: everything on the device.
    cloud: int | None
    head_s: float
    encode_s: float
    # What is sent; for the codec "source" what is sent besides the file.
    up_bytes: float
    down_bytes: float
    decode_s: float
    tail_s: float
    # The tail on the device, should the companion fail.
    local_tail_s: float
    # How often the top-1 equals the unsplit network's, 0..1.
    fidelity: float


class Candidates:
    """Rows of `Candidate` and the same as columns; made once a profile, evaluated at each request."""

    def __init__(self, rows: Sequence[Candidate]) -> None:
        self.rows = tuple(rows)
        self.head_s = self._column("head_s")
        self.encode_s = self._column("encode_s")
        self.up_bytes = self._column("up_bytes")
        self.down_bytes = self._column("down_bytes")
        self.decode_s = self._column("decode_s")
        self.tail_s = self._column("tail_s")
        self.fidelity = self._column("fidelity")
        # Local rows point behind the companions, at a neutral one that `predict` appends.
        self.cloud = np.array([-1 if row.cloud is None else row.cloud for row in self.rows], dtype=np.intp)
        self.local: npt.NDArray[np.bool_] = self.cloud == -1
        self.source = np.array([row.codec == SOURCE for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def _column(self, name: str) -> Column:
        return np.array([getattr(row, name) for row in self.rows], dtype=np.float64)

    @cached_property
    def index(self) -> dict[tuple[str, str, int | None], int]:
        """Where the plan (cut, codec, cloud) stands."""
        return {(row.cut, row.codec, row.cloud): place for place, row in enumerate(self.rows)}
