"""collabd, the daemon on the device: plans each call, runs the head, ships the rest, finishes alone if it must."""
