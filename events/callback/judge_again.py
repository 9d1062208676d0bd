"""Judges stored pushes anew: what could not be read once, and what a wrong setting refused."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F
from django.utils import timezone

from events.callback.build_event import build_event
from events.log.process import deliver, process
from events.models import EventLog

__all__ = ["read_again"]


def read_again(key: EventLog) -> EventLog | None:
    """Reads the body of an unreadable row anew; None if there is no such row, or still no message.

    The row's time is part of its key, so the message becomes a new row, which is folded and
    answered, and takes the place and the delivery count of the old one. Of `key` only the key is
    read.
    """
    unreadable = EventLog.objects.with_key_of(key).filter(status=EventLog.Status.UNREADABLE)
    old = unreadable.select_related("account").first()
    if old is None:
        return None
    event = build_event(old.account, bytes(old.raw), old.received_at)
    if event.status == EventLog.Status.UNREADABLE:
        return None
    if event.status != EventLog.Status.QUARANTINED:
        # WeChat no longer waits: an early reply would reach nobody.
        event.status, event.reply = EventLog.Status.RECEIVED, ""
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
    return process(event) or EventLog.objects.with_key_of(event).first()
