"""A call as data: its options, its image, where its layers run, and the record of what happened."""
