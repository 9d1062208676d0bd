"""Tells SQLite's planner how many rows share values (events/db/sqlite_planner.py)."""

from __future__ import annotations

from typing import Any

from events.db.sqlite_planner import describe
from subscribers.models import Subscriber

__all__ = ["describe_followers"]

_SHARING = {"account_id": 250_000, "first_scene": 5_000, "last_scene": 5_000}
_FEW = {"subscriber_left": 50_000, "subscriber_no_profile": 1_000, "subscriber_refresh": 100}


def describe_followers(*, using: str, **signal: Any) -> None:
    """Writes planner statistics for the table of followers; a receiver of post_migrate."""
    describe(Subscriber, rows=500_000, sharing=_SHARING, few=_FEW, using=using)
