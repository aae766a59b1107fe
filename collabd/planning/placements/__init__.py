"""Placements with several crossings: the best one, found exactly."""
