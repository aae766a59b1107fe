"""What the device daemon sees of its own health, each sense in a file; `collabd.health` says what comes of it."""
