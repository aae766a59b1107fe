"""Quantities that are learned from what calls took."""
