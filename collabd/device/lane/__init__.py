"""The one thread that runs all heavy work on the device, and whose turn it is."""
