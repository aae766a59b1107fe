"""How many bytes an exchange with a companion moves in addition to its tensors."""

from __future__ import annotations

# HTTP adds the request line, the status line and headers: 500 bytes for both directions together.
HEADER_BYTES = 500
# The JSON in front of the tensors: names, shapes and the codec in the request, timings in the answer.
ENVELOPE_UP_BYTES = 280
ENVELOPE_DOWN_BYTES = 330
