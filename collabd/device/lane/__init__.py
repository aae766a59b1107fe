"""The one thread that runs all heavy work on the device, and the order in which calls get it."""
