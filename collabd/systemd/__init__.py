"""What the daemons have to do with systemd: readiness, status line, watchdog, reload and journal."""
