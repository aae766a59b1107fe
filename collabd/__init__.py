"""Collaborative CNN inference for the Raspberry Pi: the two daemons and their command line."""

__version__ = "0.1.0"
