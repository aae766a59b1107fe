"""Stand-ins for the world around the daemons: a shaped link, link traces, and a test bed of both on one machine."""
