"""Describes a large log to SQLite's planner (events/db/sqlite_planner.py)."""

from __future__ import annotations

from typing import Any

from events.db.sqlite_planner import describe
from events.models import EventLog

__all__ = ["describe_log"]

# Rows that share a value: half of the events share an account, but a follower has only twenty.
# "" stands for the prefix of EventKey.
_SHARING = {
    "account_id": 5_000_000,
    "kind": 500_000,
    "": 60_000,
    "scene": 5_000,
    "status": 2_500,
    "openid": 20,
}
_FEW = {
    "event_repeated": 200_000,
    "event_status": 10_000,
    "event_due": 1_000,
    "event_mended": 1_000,
    "event_answered_late": 1_000,
}


def describe_log(*, using: str, **signal: Any) -> None:
    """Writes the log's statistics; a receiver of post_migrate."""
    describe(EventLog, rows=10_000_000, sharing=_SHARING, few=_FEW, using=using)
