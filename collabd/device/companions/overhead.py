"""The bytes that an exchange with a companion moves beside its tensors."""

from __future__ import annotations

# What HTTP adds to the bodies of an exchange, both ways: request and status lines and headers.
HEADER_BYTES = 500
# The JSON in front of the tensors: names, shapes and codec up, timings down.
ENVELOPE_UP_BYTES = 280
ENVELOPE_DOWN_BYTES = 330
