"""Which changes of an event readers of the API hear about, and for how long."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import connections
from django.db.models import Max
from django.utils import timezone

from events.db.change_triggers import Watched, drop_triggers, make_triggers
from events.models import EventLog, RowChange

__all__ = [
    "EVENT",
    "KEPT_FOR",
    "forget_changes_of_events",
    "forget_old_changes",
    "note_changes_of_events",
]

EVENT = "event"
# A reader who comes later begins anew.
KEPT_FOR = datetime.timedelta(days=30)
_BATCH = 5000

# New events are found by their ids, and what retention removes stays in copies.
_EVENTS = Watched(
    EventLog,
    EVENT,
    ("status", "error", "delivery_count", "mended", "openid", "body_removed_at"),
    inserts=False,
    deletes=False,
)


def note_changes_of_events(using: str, **_signal: Any) -> None:
    make_triggers(connections[using], [_EVENTS])


def forget_changes_of_events(using: str, **_signal: Any) -> None:
    drop_triggers(connections[using], [_EVENTS])


def forget_old_changes(now: datetime.datetime | None = None) -> int:
    """Removes notes of changes that are older than `KEPT_FOR`; returns how many, up to a batch.

    The last note of all stays, so that `seq` goes on from it.
    """
    changes = RowChange.objects.filter(type=EVENT)
    last = changes.aggregate(last=Max("seq"))["last"] or 0
    old = changes.filter(changed_at__lt=(now or timezone.now()) - KEPT_FOR, seq__lt=last)
    chosen = list(old.order_by("seq").values_list("pk", flat=True)[:_BATCH])
    removed, _ = RowChange.objects.filter(pk__in=chosen).delete()
    return removed
