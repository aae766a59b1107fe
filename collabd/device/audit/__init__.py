"""Learns fidelity in service: while the device is idle, it compares lossy answers about its own pictures."""
