"""Which plan serves a call."""
