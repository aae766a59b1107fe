"""The parts of the daemon that a new configuration replaces, and the parts that stay."""
