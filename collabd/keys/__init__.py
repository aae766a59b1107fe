"""By what device and companion know one another: tokens and certificates, in files that only their owner may read."""
