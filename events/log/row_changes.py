"""Records the changes of events that readers of the API get, and removes old records."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import connections
from django.db.models import Max
from django.utils import timezone

from events.db.schema.change_triggers import Watched, drop_triggers, make_triggers
from events.models import EventLog, RowChange

__all__ = [
    "EVENT",
    "KEPT_FOR",
    "forget_changes_of_events",
    "forget_old_changes",
    "note_changes_of_events",
]

EVENT = "event"
# A reader who was away longer must read everything again.
KEPT_FOR = datetime.timedelta(days=30)
_BATCH = 5000

# Inserts need no record, because readers find new events by their ids. Deletes need none, because
# readers' copies keep the rows that retention removes.
_EVENTS = Watched(
    EventLog,
    EVENT,
    ("status", "error", "delivery_count", "mended", "openid", "body_removed_at"),
    inserts=False,
    deletes=False,
)


def note_changes_of_events(using: str, **_signal: Any) -> None:
    """Makes the triggers; a receiver of post_migrate."""
    make_triggers(connections[using], [_EVENTS])


def forget_changes_of_events(using: str, **_signal: Any) -> None:
    """Removes the triggers where `migrate` needs that; a receiver of pre_migrate."""
    drop_triggers(connections[using], [_EVENTS])


def forget_old_changes(now: datetime.datetime | None = None) -> int:
    """Removes up to a batch of records older than `KEPT_FOR`; returns how many.

    The last record always stays, so that `seq` continues from it.
    """
    changes = RowChange.objects.filter(type=EVENT)
    last = changes.aggregate(last=Max("seq"))["last"] or 0
    old = changes.filter(changed_at__lt=(now or timezone.now()) - KEPT_FOR, seq__lt=last)
    chosen = list(old.order_by("seq").values_list("pk", flat=True)[:_BATCH])
    removed, _ = RowChange.objects.filter(pk__in=chosen).delete()
    return removed
