"""The companions as the device knows them: exchanges with them, their failures, and their packages."""
