"""What the planner does with real daemons, a relay-shaped link and a busy processor: `python -m tests.bench.live`."""
