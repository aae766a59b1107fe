"""collabd beside what a user would write instead, on the honest device: `make bench-alternatives`."""
