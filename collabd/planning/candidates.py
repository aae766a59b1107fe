"""The plans that could answer a call, as rows and as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]

# What formulas multiply: the figures of a plan, as rows of `Candidates.features`. The last three are 1 or 0: whether
# the file travels as it came, whether the image is prepared on the device instead, whether a companion is asked.
HEAD_S, ENCODE_S, UP_BYTES, DOWN_BYTES, DECODE_S, TAIL_S, SENDS_FILE, PREPARES_IMAGE, ASKS_COMPANION = range(9)
FEATURES = 9

# The codec of the image cut that encodes nothing: it sends the file that the caller gave as it came.
SOURCE = "source"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One plan with one crossing, or none: times as profiled, in seconds on an idle machine of its kind."""

    cut: str
    codec: str
    # Index of the companion in the states given to `predict`; None: everything on the device.
    cloud: int | None
    head_s: float = 0.0
    encode_s: float = 0.0
    # What is sent; for the codec "source" what is sent besides the file.
    up_bytes: float = 0.0
    down_bytes: float = 0.0
    decode_s: float = 0.0
    tail_s: float = 0.0
    # The tail on the device, should the companion fail.
    local_tail_s: float
    # How often the top-1 equals the unsplit network's, 0..1.
    fidelity: float = 1.0


class Candidates:
    """Rows of `Candidate`, and the same as columns; made once for a profile, evaluated at each call."""

    def __init__(self, rows: Sequence[Candidate]) -> None:
        self.rows = tuple(rows)
        self.head_s = self._column("head_s")
        self.encode_s = self._column("encode_s")
        self.up_bytes = self._column("up_bytes")
        self.down_bytes = self._column("down_bytes")
        self.decode_s = self._column("decode_s")
        self.tail_s = self._column("tail_s")
        self.fidelity = self._column("fidelity")
        # What the device works if it also runs the tail.
        self.home_s = self.head_s + self.encode_s + self._column("local_tail_s")
        # Local rows have -1, which is the neutral companion that `PredictionBasis` puts behind the others.
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
        """Float64 [clouds * FEATURES, rows]: a block of features a companion, zero for the plans of the others.

        A local plan asks no companion, and stands in the first block.
        """
        if clouds not in self._features:
            self._features = {clouds: self._blocks(clouds)}
        return self._features[clouds]

    def _blocks(self, clouds: int) -> Column:
        values = np.empty((FEATURES, len(self)))
        values[HEAD_S], values[ENCODE_S] = self.head_s, self.encode_s
        values[UP_BYTES], values[DOWN_BYTES] = self.up_bytes, self.down_bytes
        values[DECODE_S], values[TAIL_S] = self.decode_s, self.tail_s
        values[SENDS_FILE], values[PREPARES_IMAGE], values[ASKS_COMPANION] = self.source, ~self.source, ~self.local
        blocks = np.zeros((clouds, FEATURES, len(self)))
        blocks[np.maximum(self.cloud, 0), :, np.arange(len(self))] = values.T
        return blocks.reshape(clouds * FEATURES, len(self))

    @cached_property
    def index(self) -> dict[tuple[str, str, int | None], int]:
        """Where the plan (cut, codec, cloud) stands."""
        return {(row.cut, row.codec, row.cloud): place for place, row in enumerate(self.rows)}
