"""The worker's task for statistics."""

from __future__ import annotations

from events.stats.counting.rebuild import follow_time_zones
from events.stats.counting.roll_up import roll_up

__all__ = ["update_statistics"]


def update_statistics() -> int:
    """Counts new rows, and recounts accounts whose time zone changed; returns how many."""
    changed = follow_time_zones()
    return roll_up() + changed
