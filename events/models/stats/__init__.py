"""Roll-ups of events."""
