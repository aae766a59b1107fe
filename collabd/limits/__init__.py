"""What the machine and the control groups let this process use."""
