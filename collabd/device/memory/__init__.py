"""What a stream remembers: its last real answer, the picture of that, and how often the answer would have served."""
