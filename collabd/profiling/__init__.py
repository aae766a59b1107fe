"""What a package costs: the bytes and fidelity of its cuts, alike on all machines, and its times on this machine."""
