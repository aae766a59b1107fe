"""The doors of collabd: who may come in, in which turn, and what each path answers."""
