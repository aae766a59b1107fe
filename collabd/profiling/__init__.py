"""What a package costs: bytes and fidelity of its cuts on any machine, times on this one."""
