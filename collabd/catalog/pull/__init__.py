"""Packages that others built: an index that names them, and how one comes from there."""
