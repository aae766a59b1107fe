"""HTTP as both daemons speak it: connections, bodies, the protocol."""
