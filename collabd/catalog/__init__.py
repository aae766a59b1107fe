"""Model packages: what they are, where they are kept, how they are made, and whether one from elsewhere may run."""
