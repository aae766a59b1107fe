"""Health conditions: what somebody should know of a daemon, for as long as it lasts. This room knows neither daemon."""
