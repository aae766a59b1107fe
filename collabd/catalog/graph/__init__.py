"""What a graph tells before it runs: its weights, its operators, its effort, and whether images may share a run."""
