"""What each kind of camera is to `Camera`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Capture(Protocol):
    """An open camera or file."""

    def read(self) -> NDArray[np.uint8] | None:
        """The next picture, uint8 [height, width, 3] in the order B, G, R. None: no more come."""

    def close(self) -> None:
        """Give it back."""
