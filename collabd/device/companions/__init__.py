"""The device's side of each companion: exchanges with it, its failures, and the packages that it holds."""
