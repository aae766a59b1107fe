"""What calls would know of a row."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.device.fidelity.row import Row


@dataclass(frozen=True)
class RowQuestion:
    """Whether the row is as faithful as calls ask for, which is `least`. It is in use, or would be if it were."""

    row: Row
    least: float
