"""The daemons' side of systemd: readiness, status line, watchdog, reload and journal."""
