"""Empties the bodies of events past EVENT_BODY_RETENTION_DAYS, in the log and in its archives.

The kind of an event, its time and its key stay, and so do state and statistics. The age of a body
counts from its receipt. So one stored position says how far the work has come, and events that come
late lie after it.
"""

from __future__ import annotations

import datetime
import logging
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events.log.retention_hooks import before_restoring
from events.models import BodyRetention, EventLog
from events.retention.archive import Archive
from events.retention.partitions import alone
from events.retention.rewrite import rewrite_archives
from events.stats.counting.roll_up import held_progress
from events.stats.counting.unmatched import forget_texts

__all__ = ["body_limit", "empty_bodies", "empty_returning"]

logger = logging.getLogger(__name__)

_BATCH = 1000
# Seconds of one run; the next run continues.
_TURN = 30.0
# A row without an outcome may still need its body.
_OPEN = (EventLog.Status.RECEIVED, EventLog.Status.FAILED)


def body_limit(now: datetime.datetime) -> datetime.datetime | None:
    """Returns a time: bodies received before it must be removed. None if the site keeps all."""
    if settings.EVENT_BODY_RETENTION_DAYS is None:
        return None
    return now - datetime.timedelta(days=settings.EVENT_BODY_RETENTION_DAYS)


def empty_bodies(now: datetime.datetime | None = None) -> int:
    """Empties the bodies past their time; returns how many rows of log and archives changed."""
    now = now or timezone.now()
    limit = body_limit(now)
    if limit is None:
        return 0
    changed, is_complete = _empty_log(limit, now)
    # Texts count from event_time, which may lie up to a day after the receipt. So remove a text a
    # day early, never later than its body.
    with transaction.atomic():
        held_progress()
        forget_texts(limit + datetime.timedelta(days=1))
    folder = settings.EVENT_ARCHIVE_DIR
    if is_complete and folder and Path(folder).is_dir():
        with alone("retention") as granted:
            if granted:
                changed += rewrite_archives(Path(folder), _change(limit, now))
    return changed


def _empty_log(limit: datetime.datetime, now: datetime.datetime) -> tuple[int, bool]:
    """Returns how many rows it emptied, and whether it reached the end."""
    changed = 0
    until = time.monotonic() + _TURN
    mark = BodyRetention.objects.filter(pk=1).first() or BodyRetention(pk=1)
    received_at, event_id = mark.received_at, mark.event_id
    has_open = False
    while time.monotonic() < until:
        rows = EventLog.objects.filter(received_at__lt=limit).order_by("received_at", "id")
        if received_at is not None:
            # The Q is the exact position; the bound lets the index find it.
            rows = rows.filter(
                Q(received_at__gt=received_at) | Q(id__gt=event_id), received_at__gte=received_at
            )
        batch = list(rows.values_list("id", "event_time", "received_at", "status")[:_BATCH])
        if not batch:
            return changed, True
        times = [event_time for _, event_time, _, _ in batch]
        changed += (
            EventLog.objects.filter(
                pk__in=[pk for pk, *_ in batch],
                # With these PostgreSQL reads only the partitions that can hold the rows.
                event_time__gte=min(times),
                event_time__lte=max(times),
                body_removed_at=None,
            )
            .exclude(status__in=_OPEN)
            .update(raw=b"", reply="", error="", body_removed_at=now)
        )
        event_id, _, received_at, _ = batch[-1]
        for pk, _, at, status in batch:
            # The next run begins at the first open row, which gets its outcome within hours.
            has_open = has_open or status in _OPEN
            if not has_open:
                mark.event_id, mark.received_at = pk, at
        mark.save()
    return changed, False


def _change(limit: datetime.datetime, now: datetime.datetime) -> Any:
    stamp = now.astimezone(datetime.UTC).isoformat(timespec="microseconds")

    def change(_archive: Archive, record: dict[str, Any]) -> dict[str, Any] | None:
        received_at = datetime.datetime.fromisoformat(record["received_at"])
        if received_at >= limit or not (record["raw"] or record["reply"] or record["error"]):
            return None
        return record | {"raw": "", "reply": "", "error": "", "body_removed_at": stamp}

    return change


@before_restoring
def empty_returning(events: list[EventLog]) -> None:
    """Empties bodies past their time in rows that an archive brings back."""
    now = timezone.now()
    limit = body_limit(now)
    if limit is None:
        return
    for event in events:
        if event.received_at < limit and event.body_removed_at is None:
            event.raw = b""
            event.reply = event.error = ""
            event.body_removed_at = now
