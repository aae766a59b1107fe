"""The reports of the daemon: its status, its decisions and the status line."""
