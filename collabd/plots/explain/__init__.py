"""The pictures of `collabctl explain --plot`: the candidates of one decision, or the calls of several."""
