"""One request from its tensors to its answer."""
