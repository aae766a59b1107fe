"""Doors for programs that know another protocol: a file for each protocol, in front of the same admission.

A door listens where the configuration says. What comes in is admitted, shares the daemon and keeps its limits as calls
at the Unix socket do.
"""
