"""The networks that the companion holds, and their profiles."""
