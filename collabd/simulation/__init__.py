"""Stand-ins for the world around the daemons: a shaped link, link traces, and both daemons on one machine."""
