"""What stalls for longer than a daemon waits is a busy machine here, and no companion that has died."""

from __future__ import annotations

import pytest

from collabd.device.run import crossings
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that may not finish on the device, and has no deadline, waits for the companion as long as tests wait."""
    monkeypatch.setattr(crossings, "_PATIENT_S", PATIENCE_S)
