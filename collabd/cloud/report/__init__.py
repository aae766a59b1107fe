"""What collab-cloudd says of itself: its status, and the status line."""
