"""Counts the followers of a span of time anew from the log, and says what was different."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Q

from events.models import EventLog, OpenEvent
from events.stats.counting.rebuild import Difference
from events.stats.counting.roll_up import batch_of, held_progress, states_of_accounts
from events.stats.periods import Period, next_start, starts_of
from subscribers.models import FollowingChange, FollowingInterval, SceneAct, SourceDay
from subscribers.stats.counting.activity import recount_months
from subscribers.stats.counting.growth import (
    add_changes,
    changes_of,
    stored_intervals,
    write_intervals,
)
from subscribers.stats.counting.intervals import TELLING_KINDS, intervals_of, statements_of_log
from subscribers.stats.counting.scenes import acts_of_log
from subscribers.stats.counting.source_days import (
    MEASURES,
    add_days,
    days_of_rows,
    people_of,
    refresh,
)

__all__ = ["recount_followers"]

_BATCH = 500


def recount_followers(
    account_id: int, first: datetime.datetime, last: datetime.datetime
) -> Iterator[Difference]:
    """Counts anew who followed, left or was seen between two moments, both included."""
    people = _people(account_id, first, last)
    while openids := list(islice(people, _BATCH)):
        yield from _recount_people(account_id, openids)
    yield from _recount_changes(account_id, first, last)
    yield from _recount_acts(account_id, first, last)
    yield from _recount_sources(account_id, first, last)
    yield from recount_months(account_id, first, last)


def _people(account_id: int, first: datetime.datetime, last: datetime.datetime) -> Iterator[str]:
    within = (first, last)
    told = EventLog.objects.filter(
        account=account_id, event_time__range=within, kind__in=TELLING_KINDS
    ).exclude(openid="")
    stored = FollowingInterval.objects.filter(account=account_id).filter(
        Q(started_at__range=within) | Q(ended_at__range=within)
    )
    found = {openid for rows in (told, stored) for openid in rows.values_list("openid", flat=True)}
    return iter(sorted(found))


def _recount_people(account_id: int, openids: list[str]) -> Iterator[Difference]:
    with transaction.atomic():
        progress = held_progress()
        batch = batch_of([], progress.last_id, states_of_accounts())
        stored = stored_intervals([(account_id, openid) for openid in openids])
        before = {(account_id, openid): stored[account_id, openid] for openid in openids}
        told = statements_of_log(
            before, counted_to=progress.last_id, frozen_before=batch.frozen_before
        )
        after = {person: intervals_of(told[person]) for person in before}
        changed = {person for person in before if before[person] != after[person]}
        write_intervals(before, after, batch.zones)
        progress.turn += 1
        progress.save()
    for person in sorted(changed):
        moments = [start for start, _ in (*before[person], *after[person])]
        yield Difference(
            "spells of following of one person",
            min(moments),
            len(before[person]),
            len(after[person]),
        )


def _recount_changes(
    account_id: int, first: datetime.datetime, last: datetime.datetime
) -> Iterator[Difference]:
    with transaction.atomic():
        held_progress()
        zone = states_of_accounts()[account_id].zone
        rows = FollowingChange.objects.filter(account=account_id)
        stored = {
            (account_id, period, start): more
            for period, start, more in rows.values_list("period", "start", "more")
        }
        counted = changes_of(account_id, zone)
        more: defaultdict[tuple[int, str, datetime.datetime], int] = defaultdict(int)
        for where in stored.keys() | counted.keys():
            if counted[where] != stored.get(where, 0):
                more[where] = counted[where] - stored.get(where, 0)
        add_changes(more)
    for where in sorted(more):
        _, period, start = where
        what = f"growth by {'hour' if period == 'h' else 'day'}"
        yield Difference(what, start, stored.get(where, 0), counted[where])


def _recount_acts(
    account_id: int, first: datetime.datetime, last: datetime.datetime
) -> Iterator[Difference]:
    with transaction.atomic():
        progress = held_progress()
        frozen = states_of_accounts()[account_id].frozen_before
        if frozen is not None:
            first = max(first, frozen)
        uncounted = OpenEvent.objects.filter(status=EventLog.Status.QUARANTINED)
        counted = acts_of_log(
            EventLog.objects.filter(
                account=account_id, event_time__range=(first, last), pk__lte=progress.last_id
            ).exclude(pk__in=uncounted.values("pk"))
        )
        stored = SceneAct.objects.filter(account=account_id, at__range=(first, last)).in_bulk()
        gone = stored.keys() - counted.keys()
        SceneAct.objects.filter(pk__in=gone).delete()
        missing = counted.keys() - stored.keys()
        SceneAct.objects.bulk_create([counted[pk] for pk in sorted(missing)])
    if gone or missing:
        yield Difference("acts through QR codes", first, len(stored), len(counted))


def _recount_sources(
    account_id: int, first: datetime.datetime, last: datetime.datetime
) -> Iterator[Difference]:
    """Counts the sources anew for all whole days from `first` to `last`."""
    zone = states_of_accounts()[account_id].zone
    begin = starts_of(first, zone)[1]
    end = next_start(starts_of(last, zone)[1], Period.DAY, zone)
    people = iter(sorted(people_of(account_id, begin, end)))
    rows = SourceDay.objects.filter(account=account_id, start__gte=begin, start__lt=end)
    where = ("account_id", "start", "scene", "way")
    before = dict(_split(rows.values_list(*where, *MEASURES)))
    while openids := list(islice(people, _BATCH)):
        with transaction.atomic():
            held_progress()
            refresh([(account_id, openid) for openid in openids], {account_id: zone})
    with transaction.atomic():
        held_progress()
        stored = dict(_split(rows.values_list(*where, *MEASURES)))
        counted = days_of_rows(account_id, zone, begin, end)
        zero = [0] * len(MEASURES)
        for key in stored.keys() | counted.keys():
            values = stored.get(key, zero)
            counted[key] = [now - was for now, was in zip(counted[key], values, strict=True)]
        add_days(counted)
        after = dict(_split(rows.values_list(*where, *MEASURES)))
    for key in sorted(before.keys() | after.keys()):
        _, start, scene, way = key
        for name, was, now in zip(
            MEASURES, before.get(key, zero), after.get(key, zero), strict=True
        ):
            if was != now:
                yield Difference(f"{name} of source {scene or way!r} by day", start, was, now)


def _split(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], list[int]]]:
    for account_id, start, scene, way, *values in rows:
        yield (account_id, start, scene, way), list(values)
