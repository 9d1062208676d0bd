"""What the worker calls for statistics."""

from __future__ import annotations

from events.stats.counting.rebuild import follow_time_zones
from events.stats.counting.roll_up import roll_up

__all__ = ["update_statistics"]


def update_statistics() -> int:
    """Counts what is new, and anew the accounts whose time zone changed; returns how many rows."""
    changed = follow_time_zones()
    return roll_up() + changed
