"""What the machine draws, and what its battery holds."""
