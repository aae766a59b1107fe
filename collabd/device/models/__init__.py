"""The networks that are loaded on the device, and their profiles."""
