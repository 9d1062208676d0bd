"""What SQLite's planner is told about the followers; events.log.sqlite_planner.py says why."""

from __future__ import annotations

from typing import Any

from events.log.sqlite_planner import describe
from subscribers.models import Subscriber

__all__ = ["SHARED", "describe_followers"]

_ROWS = 500_000
SHARED = {
    "unique": (_ROWS, 250_000),
    "subscriber_openid": (_ROWS, 1),
    "subscriber_account": (_ROWS, 250_000),
    "subscriber_left": (50_000, 1),
    "subscriber_followed_at": (_ROWS, 1),
    "subscriber_unfollowed": (_ROWS, 250_000),
    "subscriber_first_poster": (200_000, 5_000),
    "subscriber_last_poster": (200_000, 5_000),
    "subscriber_updated": (_ROWS, 1),
    "subscriber_refresh": (100, 50),
    "subscriber_no_profile": (1_000, 500),
}


def describe_followers(*, using: str, **signal: Any) -> None:
    """Writes the followers' statistics; a receiver of post_migrate."""
    describe(Subscriber, SHARED, using=using)
