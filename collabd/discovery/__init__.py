"""How companions are found: what they announce in the local network by DNS-SD, and what is heard of it."""
