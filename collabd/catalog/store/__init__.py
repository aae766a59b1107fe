"""The packages that a machine keeps, and how one travels to another machine."""
