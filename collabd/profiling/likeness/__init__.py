"""How much answers are like those of the unsplit network: one measure for each task."""
