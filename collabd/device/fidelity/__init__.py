"""How far lossy plans are to be trusted: what packages say of it, and what was learned from this device's pictures."""
