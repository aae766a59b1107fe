"""The device daemon's HTTP API: who may call, in which order calls are admitted, and what each path answers."""
