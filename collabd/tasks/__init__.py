"""What becomes of a network's outputs before the caller gets them: boxes and masks in the caller's pixels."""
