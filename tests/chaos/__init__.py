"""Both daemons under faults, one after another and several at once, while eight clients call: `make chaos`."""
