"""Keeps statistics right when events leave the log, come back to it, or change their person."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from events.log.retention_hooks import after_restoring, before_removal, on_erasure
from events.models import AccountStatistics, LastSeen, OpenEvent, UnansweredEvent
from events.models.event_log import EventLogQuerySet
from events.stats.changes import count_changes
from events.stats.counting.counts import note_seen
from events.stats.counting.rebuild import SEEN_FOR, rebuild
from events.stats.counting.roll_up import (
    batch_of,
    catch_up,
    extent,
    held_progress,
    look_again,
    states_of_accounts,
)
from events.stats.counting.unanswered import forget_old
from events.stats.counting.unmatched import recount_days_of
from events.stats.periods import microseconds

__all__ = ["forget_unseen", "freeze", "recount_restored", "rename_person"]

_MONTH = datetime.timedelta(days=32)


@before_removal
def freeze(events: EventLogQuerySet) -> None:
    """Counts rows a last time before their removal, and freezes the counts up to their times."""
    highest = events.aggregate(highest=Max("pk"))["highest"]
    if highest is None:
        return
    catch_up(highest)
    states = states_of_accounts()
    opened = list(OpenEvent.objects.filter(pk__in=events.order_by().values("pk")))
    changes = look_again(opened, timezone.now())
    count_changes(batch_of(changes, held_progress().last_id, states))
    OpenEvent.objects.filter(pk__in=[row.event_id for row in opened]).delete()
    unanswered = UnansweredEvent.objects.filter(pk__in=events.order_by().values("pk"))
    days = set(unanswered.exclude(text="").values_list("account_id", "event_time"))
    unanswered.delete()
    recount_days_of(days)
    for account_id, _, last in extent(events):
        frozen_before = states[account_id].frozen_before
        end = last + datetime.timedelta(microseconds=1)
        if frozen_before is None or frozen_before < end:
            AccountStatistics.objects.filter(pk=account_id).update(frozen_before=end)


@after_restoring
def recount_restored(events: EventLogQuerySet) -> None:
    """Recounts the time of restored rows, unless this site had counted and frozen it."""
    states = states_of_accounts()
    for account_id, first, last in list(extent(events)):
        frozen_before = states[account_id].frozen_before
        if frozen_before is None or last >= frozen_before:
            rebuild(account_id, first, last)


def forget_unseen(now: datetime.datetime | None = None) -> int:
    """Removes people last seen, and events unanswered, months ago; returns how many rows.

    If an event comes so late that it could concern a removed person, the counter reads the log.
    """
    now = now or timezone.now()
    limit = now - SEEN_FOR
    with transaction.atomic():
        held_progress()
        AccountStatistics.objects.update(seen_since=limit + _MONTH)
        forgotten, _ = LastSeen.objects.filter(at__lt=microseconds(limit)).delete()
        return forgotten + forget_old(now)


@on_erasure
def rename_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Gives a person another name; no count changes.

    The new `turn` makes the worker read rows again that it has read but not counted.
    """
    progress = held_progress()
    progress.turn += 1
    progress.save()
    rows = LastSeen.objects.filter(openid=openid, series__account=account_id)
    note_seen({(pseudonym, series): at for series, at in rows.values_list("series_id", "at")})
    rows.delete()
