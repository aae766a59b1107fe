"""What device and companion know one another by: tokens and certificates, as files that only their owner reads."""
