"""What is sensed of the processor."""
