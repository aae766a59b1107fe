"""A model package on the disk: its manifest, its files and their digest, and what can be wrong with them."""
