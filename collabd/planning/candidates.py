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
        # A plan's head, and its tail here.
        self.home_s = self.head_s + self.encode_s + self._column("local_tail_s")
        # Local rows point behind the companions, at a neutral one that `predict` appends.
        self.cloud = np.array([-1 if row.cloud is None else row.cloud for row in self.rows], dtype=np.intp)
        self.local: npt.NDArray[np.bool_] = self.cloud == -1
        # Of several crossings ("source+q8") only the first can send the file.
        self.source = np.array([row.codec.partition("+")[0] == SOURCE for row in self.rows])
        self._features: dict[int, Column] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def _column(self, name: str) -> Column:
        return np.array([getattr(row, name) for row in self.rows], dtype=np.float64)

    def features(self, clouds: int) -> Column:
        """Float64 [8 * clouds, rows], what `coefficients` are for: eight figures, zero but in the row's own companion.

        Work on the device; bytes up and down; work at the companion, and of that the tail, which may have a price; 1 if
        the file travels as it came; 1 if the image is prepared here; 1 if a companion is asked. A local row asks none,
        and stands with the first.
        """
        if clouds not in self._features:
            self._features = {clouds: self._spread(clouds)}
        return self._features[clouds]

    def _spread(self, clouds: int) -> Column:
        here, there = self.head_s + self.encode_s, self.decode_s + self.tail_s
        each = (here, self.up_bytes, self.down_bytes, there, self.tail_s, self.source, ~self.source, ~self.local)
        features = np.zeros((clouds, 8, len(self)))
        features[np.maximum(self.cloud, 0), :, np.arange(len(self))] = np.stack(each, axis=1)
        return features.reshape(8 * clouds, len(self))

    @cached_property
    def index(self) -> dict[tuple[str, str, int | None], int]:
        """Where the plan (cut, codec, cloud) stands."""
        return {(row.cut, row.codec, row.cloud): place for place, row in enumerate(self.rows)}
