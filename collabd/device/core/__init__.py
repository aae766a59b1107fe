"""What a new configuration replaces while the daemon runs, and what outlives it."""
