"""Building packages, on the machine of who adds a network. The daemons run without it."""
