"""The networks that come with collabd: their definitions, weights and training. Needs the extra `author`."""
