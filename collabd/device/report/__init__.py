"""What collabd says of itself: status, decisions and the status line."""
