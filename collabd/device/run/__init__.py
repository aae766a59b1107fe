"""How a chosen plan is run."""
