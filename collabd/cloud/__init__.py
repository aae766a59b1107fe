"""collab-cloudd: runs whole networks, or the rest of them, for devices."""
