"""One call from request to response."""
