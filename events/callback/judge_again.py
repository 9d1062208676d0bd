"""Judges stored pushes again: unreadable ones, and those that a wrong setting quarantined."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

from django.db.models import F
from django.utils import timezone

from events.callback.build_event import build_event, reason_to_quarantine
from events.db.transactions import short_transaction
from events.log.process import deliver
from events.models import EventLog, PendingJudgement
from events.models.event_log import EventLogQuerySet
from events.wechat import Unreadable, parse_message

__all__ = ["judge", "judge_pending", "read_again"]

# Rows judged in one transaction. On SQLite the callback waits while that transaction runs.
_PORTION = 100
# Seconds, after which this task ends so that the worker's other quick tasks can run.
_TURN = 3
# After this time every process has read the corrected account, and all pushes that a process judged
# by the former settings are stored. A second pass finds those pushes.
_SECOND_LOOK_AFTER = datetime.timedelta(seconds=60)


def judge_pending() -> int:
    """Judges the quarantined pushes of corrected accounts, oldest first; returns their number."""
    judged = 0
    deadline = time.monotonic() + _TURN
    while time.monotonic() < deadline:
        with short_transaction():
            due = PendingJudgement.objects.filter(due_at__lte=timezone.now())
            pending = due.select_for_update().order_by("due_at").first()
            if pending is None:
                break
            judged += _judge_portion(pending)
    return judged


def _judge_portion(pending: PendingJudgement) -> int:
    quarantined = EventLog.objects.with_status(EventLog.Status.QUARANTINED).filter(
        account=pending.account_id, pk__gt=pending.after_id
    )
    keys = list(quarantined.order_by("pk").only_key()[:_PORTION])
    judge(EventLog.objects.filter(pk__in=[key.pk for key in keys]))
    if len(keys) == _PORTION:
        pending.after_id = keys[-1].pk
        pending.save(update_fields=["after_id"])
    elif pending.is_last:
        pending.delete()
    else:
        pending.due_at = timezone.now() + _SECOND_LOOK_AFTER
        pending.after_id, pending.is_last = 0, True
        pending.save()
    return len(keys)


def judge(events: EventLogQuerySet) -> list[EventLog]:
    """Judges quarantined rows by the present account; returns the keys of the released ones.

    A released row is due at once: the worker folds and answers it.
    """
    quarantined = events.with_status(EventLog.Status.QUARANTINED).select_related("account")
    return [event for event in quarantined.order_by("pk") if _release(event)]


def _release(event: EventLog) -> bool:
    """Releases a row that may be folded now; returns whether it did. Otherwise notes why not."""
    now = timezone.now()
    try:
        message = parse_message(bytes(event.raw))
    except Unreadable:
        return False  # retention has emptied the body
    reason = reason_to_quarantine(message, event.account, received_at=event.received_at, now=now)
    this = EventLog.objects.with_key_of(event).filter(status=EventLog.Status.QUARANTINED)
    if reason:
        if reason != event.error:
            this.update(error=reason)
        return False
    return bool(
        this.update(status=EventLog.Status.RECEIVED, error="", attempts=0, next_attempt_at=now)
    )


def read_again(key: EventLog) -> EventLog | None:
    """Reads the body of an unreadable row again, and returns the new row.

    Returns None if there is no such row, or if its body is still unreadable. The row's time is part
    of its key. So the message becomes a new row, which replaces the old one and takes over its
    delivery count. The new row is folded, and the worker answers it. This function reads only the
    key of `key`.
    """
    unreadable = EventLog.objects.with_key_of(key).filter(status=EventLog.Status.UNREADABLE)
    old = unreadable.select_related("account").first()
    if old is None:
        return None
    event = build_event(old.account, bytes(old.raw), old.received_at)
    if event.status == EventLog.Status.UNREADABLE:
        return None
    event.last_delivered_at = old.last_delivered_at
    if event.status != EventLog.Status.QUARANTINED:
        # No connection waits for this push, so an early reply would reach nobody.
        event.status, event.reply = EventLog.Status.RECEIVED, ""
        event.answered_by, event.answered_at = EventLog.AnsweredBy.NOBODY_YET, None
        event.processed_at = event.duration_ms = None
        event.next_attempt_at = timezone.now()

    def take_the_place(_are_new: Sequence[bool]) -> None:
        stored = EventLog.objects.with_key_of(event)
        if unreadable.delete()[0]:
            stored.update(delivery_count=F("delivery_count") + old.delivery_count - 1)
        else:
            # Another process was quicker.
            stored.update(delivery_count=F("delivery_count") - 1)

    deliver([event], then=take_the_place)
    return event
