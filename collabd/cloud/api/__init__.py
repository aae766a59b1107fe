"""The doors of collab-cloudd: who may come in, and what each path answers."""
