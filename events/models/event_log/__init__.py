"""The event log: its table, and what belongs to its rows and months."""

from __future__ import annotations

from events.models.event_log.expressions import EVENT_KEY_PREFIX_LENGTH, EventKeyPrefix
from events.models.event_log.table import EventLog, EventLogQuerySet, delivery_statement

__all__ = [
    "EVENT_KEY_PREFIX_LENGTH",
    "EventKeyPrefix",
    "EventLog",
    "EventLogQuerySet",
    "delivery_statement",
]
