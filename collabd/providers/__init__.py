"""Which execution provider runs a package: each is tried in a process of its own, and compared with the CPU's."""
