"""What collab-cloudd says of itself: its status, the status line, and its announcement."""
