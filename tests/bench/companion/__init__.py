"""A companion under load, beside the bare engine and a server of twenty lines: `make bench-companion`."""
