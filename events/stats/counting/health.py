"""Counts by hour what became of pushes: answered, how quickly, repeated, failed."""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping

from django.db import connection

from events.db.upsert import Upsert
from events.models import EventLog, HealthCount
from events.stats.changes import Batch, counter
from events.stats.facts import Counted
from events.stats.periods import starts_of

__all__ = ["HEALTH_MEASURES", "count_health", "count_repeats", "health_of"]

# The columns of a count except `repeated`, which count_repeats keeps.
HEALTH_MEASURES = (
    *("received", "answered", "within_1s", "within_5s", "unanswered", "failed"),
    *("mended", "unreadable", "quarantined"),
)
# Account id, and start of the hour.
_Hour = tuple[int, datetime.datetime]


@counter
def count_health(batch: Batch) -> None:
    """Adds a batch to the counts of pushes by hour."""
    # Most pushes of an hour count in the same way, so add them up first.
    alike: defaultdict[tuple[_Hour, Counted, Counted, bool], int] = defaultdict(int)
    for fact, before in batch.changes:
        if fact.source == EventLog.Source.CALLBACK:
            start = starts_of(fact.received_at, batch.zones[fact.account_id])[0]
            alike[(fact.account_id, start), fact.counted, before, fact.is_mended] += 1
    deltas: defaultdict[_Hour, list[int]] = defaultdict(lambda: [0] * len(HEALTH_MEASURES))
    for (hour, counted, before, is_mended), number in alike.items():
        values = deltas[hour]
        pairs = zip(
            health_of(counted, is_mended=is_mended),
            health_of(before, is_mended=is_mended),
            strict=True,
        )
        for measure, (now, was) in enumerate(pairs):
            values[measure] += (now - was) * number
    rows = sorted((*hour, *values) for hour, values in deltas.items() if any(values))
    if rows:
        _count_upsert().execute(connection, rows)


def health_of(counted: Counted, *, is_mended: bool) -> tuple[int, ...]:
    """Returns what one push adds to its hour, in the order of HEALTH_MEASURES."""
    is_answered = counted.outcome == "answered"
    return (
        int(bool(counted.status)),
        int(is_answered),
        int(is_answered and counted.waited_ms <= 1000),
        int(is_answered and counted.waited_ms <= 5000),
        int(counted.outcome == "unanswered"),
        int(counted.status == EventLog.Status.DEAD),
        int(bool(counted.status) and is_mended),
        int(counted.status == EventLog.Status.UNREADABLE),
        int(counted.status == EventLog.Status.QUARANTINED),
    )


def count_repeats(
    since: datetime.datetime, counted_to: int, zones: Mapping[int, zoneinfo.ZoneInfo]
) -> None:
    """Recounts how often WeChat repeated the pushes that were received since `since`.

    `since` is the beginning of an hour in UTC. WeChat repeats a push within seconds. Only
    recompute_statistics counts a repetition that comes hours later.
    """
    found: defaultdict[_Hour, int] = defaultdict(int)
    rows = EventLog.objects.filter(
        delivery_count__gt=1, received_at__gte=since, pk__lte=counted_to
    ).values_list("account_id", "received_at", "delivery_count", "source")
    for account_id, received_at, delivery_count, source in rows.iterator(chunk_size=2000):
        if account_id in zones and source == EventLog.Source.CALLBACK:
            hour = starts_of(received_at, zones[account_id])[0]
            # In a zone of half hours, `since` lies within an hour, of which only a part is read.
            if hour >= since:
                found[account_id, hour] += delivery_count - 1
    if found:
        _repeats_upsert().execute(connection, sorted((*hour, more) for hour, more in found.items()))


@functools.cache
def _count_upsert() -> Upsert:
    return Upsert(
        HealthCount,
        key=("account_id", "start"),
        values=HEALTH_MEASURES,
        update={name: f"old.{name} + excluded.{name}" for name in HEALTH_MEASURES},
    )


@functools.cache
def _repeats_upsert() -> Upsert:
    return Upsert(
        HealthCount,
        key=("account_id", "start"),
        values=("repeated",),
        update={"repeated": "excluded.repeated"},
    )
