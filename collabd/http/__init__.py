"""HTTP as both daemons speak it: connections, bodies, error replies, the protocol."""
