"""Empties the texts of messages to followers past EVENT_BODY_RETENTION_DAYS."""

from __future__ import annotations

import datetime

from django.utils import timezone

from events.retention.bodies import body_limit
from subscribers.models import OutgoingMessage

__all__ = ["empty_messages"]

_AT_ONCE = 1000


def empty_messages(now: datetime.datetime | None = None) -> int:
    """Empties old messages that no longer wait to be sent; returns how many."""
    limit = body_limit(now or timezone.now())
    if limit is None:
        return 0
    ended = [
        OutgoingMessage.State.SENT,
        OutgoingMessage.State.FAILED,
        OutgoingMessage.State.UNKNOWN,
    ]
    old = OutgoingMessage.objects.filter(state__in=ended, created_at__lt=limit).exclude(payload={})
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    return OutgoingMessage.objects.filter(pk__in=ids).update(payload={}, failure_text="")
