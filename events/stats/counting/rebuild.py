"""Recounts a span of time from the log, and returns the differences.

This module reads the log before its transaction begins, because reading may take long. If the
worker has counted something meanwhile, the module reads the log again. Its last attempt reads
within the transaction, and the worker waits. Counts that retention froze do not change.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from events.db.among import Among
from events.models import (
    AccountStatistics,
    EventLog,
    HealthCount,
    OfficialAccount,
    OpenEvent,
    PeriodCount,
    Series,
    StatisticsProgress,
)
from events.models.event_log import EventLogQuerySet
from events.stats.changes import change_zone
from events.stats.counting.counts import Deltas, add_deltas, measures, note_seen
from events.stats.counting.health import HEALTH_MEASURES, health_of
from events.stats.counting.roll_up import counted_before, held_progress, states_of_accounts
from events.stats.counting.unanswered import recount_unanswered
from events.stats.facts import MEASURES, PEOPLE, Fact, facts
from events.stats.periods import Period, microseconds, next_start, starts_of
from events.stats.series import SeriesKey, stored_series

__all__ = ["SEEN_FOR", "Difference", "follow_time_zones", "rebuild"]

_PERIODS = tuple(Period)
_WEEK = _PERIODS.index(Period.WEEK)
_PLACES = {period.code: place for place, period in enumerate(_PERIODS)}
# How many times it reads the log while the worker goes on, before it makes the worker wait.
_ATTEMPTS = 3
# The longest time from the event_time of a removed event to its receipt.
_DELIVERY = datetime.timedelta(days=1)
# The rows that say when people were last seen are kept this long. That is longer than any period,
# so an event that comes in time needs no older row.
SEEN_FOR = datetime.timedelta(days=62)

_Values = list[int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored number that did not match the log. `what` names the series, period and measure."""

    what: str
    start: datetime.datetime
    stored: int
    counted: int

    def __str__(self) -> str:
        return (
            f"{self.what} from {self.start.isoformat()}: "
            f"was {self.stored}, the log says {self.counted}"
        )


@dataclass(slots=True)
class _Count:
    """The numbers of the log for the periods that begin between `first` and `end`."""

    first: datetime.datetime
    end: datetime.datetime
    deltas: Deltas = field(default_factory=lambda: defaultdict(lambda: [0] * len(MEASURES)))
    health: defaultdict[datetime.datetime, _Values] = field(
        default_factory=lambda: defaultdict(lambda: [0] * (len(HEALTH_MEASURES) + 1))
    )
    seen: dict[tuple[SeriesKey, str], int] = field(default_factory=dict)


def rebuild(account_id: int, first: datetime.datetime, last: datetime.datetime) -> list[Difference]:
    """Recounts an account's months from `first` to `last`, one after the other."""
    differences: list[Difference] = []
    start = starts_of(first, states_of_accounts()[account_id].zone)[-1]
    while start <= last:
        zone = states_of_accounts()[account_id].zone
        end = next_start(start, Period.MONTH, zone)
        differences += _recount(account_id, zone, [(start, end)])
        start = end
    return differences


def follow_time_zones() -> int:
    """Recounts the accounts whose time zone has changed; returns how many."""
    states = states_of_accounts()
    changed = 0
    for account in OfficialAccount.objects.only("pk", "time_zone"):
        state = states.get(account.pk)
        if state is None or state.time_zone == account.time_zone:
            continue
        _recount(account.pk, account.zone, list(_months(account.pk, account.zone)))
        changed += 1
    return changed


def _months(
    account_id: int, zone: zoneinfo.ZoneInfo
) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
    """Yields the months from an account's first count until now, without a gap."""
    stored = PeriodCount.objects.filter(series__account=account_id)
    health = HealthCount.objects.filter(account=account_id)
    known = [rows.aggregate(at=Min("start"))["at"] for rows in (stored, health)]
    begun = [at for at in known if at is not None]
    if not begun:
        return
    # The former zone's first hour may be in the month before.
    start = starts_of(min(begun) - datetime.timedelta(days=1), zone)[-1]
    while start <= timezone.now() + datetime.timedelta(days=2):
        end = next_start(start, Period.MONTH, zone)
        yield start, end
        start = end


def _recount(
    account_id: int,
    zone: zoneinfo.ZoneInfo,
    months: list[tuple[datetime.datetime, datetime.datetime]],
) -> list[Difference]:
    for attempt in range(_ATTEMPTS + 1):
        before = StatisticsProgress.objects.first() or StatisticsProgress()
        counts = [] if attempt == _ATTEMPTS else _read(account_id, zone, months, before.last_id)
        with transaction.atomic():
            progress = held_progress()
            if attempt == _ATTEMPTS:
                counts = _read(account_id, zone, months, progress.last_id)
            elif (progress.last_id, progress.turn) != (before.last_id, before.turn):
                continue
            # Change the zone in the same transaction: otherwise two workers would count into
            # different days.
            state = states_of_accounts()[account_id]
            differences = [
                difference
                for count in counts
                for difference in _write(account_id, count, state, progress.last_id)
            ]
            if state.time_zone != zone.key:
                AccountStatistics.objects.filter(pk=account_id).update(time_zone=zone.key)
                change_zone(account_id, zone)
            progress.turn += 1
            progress.save()
            return differences
    raise AssertionError("the last attempt always counts")


# --- Reading -------------------------------------------------------------------------------------


def _read(
    account_id: int,
    zone: zoneinfo.ZoneInfo,
    months: list[tuple[datetime.datetime, datetime.datetime]],
    counted_to: int,
) -> list[_Count]:
    rows = EventLog.objects.filter(account=account_id, pk__lte=counted_to)
    counts = []
    for first, end in months:
        count = _Count(first, end)
        _count_events(rows, zone, count)
        _count_health(rows, zone, count)
        counts.append(count)
    return counts


def _count_events(rows: EventLogQuerySet, zone: zoneinfo.ZoneInfo, count: _Count) -> None:
    # The end of the week that begins last in the month.
    week_end = next_start(
        starts_of(count.end - datetime.timedelta(microseconds=1), zone)[_WEEK], Period.WEEK, zone
    )
    within = rows.filter(event_time__gte=count.first, event_time__lt=max(count.end, week_end))
    last: dict[tuple[SeriesKey, str], tuple[datetime.datetime, ...]] = {}
    for fact in _as_counted(within.order_by("event_time", "pk")):
        if not fact.counted.is_event:
            continue
        starts = starts_of(fact.event_time, zone)
        more = measures(fact.counted)
        places = [
            (place, start) for place, start in enumerate(starts) if count.first <= start < count.end
        ]
        for key in fact.series:
            former = last.get((key, fact.openid), ())
            for place, start in places:
                values = count.deltas[key, place, start]
                for measure, number in enumerate(more):
                    values[measure] += number
                if fact.openid and (not former or former[place] != start):
                    values[PEOPLE] += 1
            if fact.openid:
                last[key, fact.openid] = starts
                count.seen[key, fact.openid] = microseconds(fact.event_time)


def _count_health(rows: EventLogQuerySet, zone: zoneinfo.ZoneInfo, count: _Count) -> None:
    within = rows.filter(
        source=EventLog.Source.CALLBACK,
        received_at__gte=count.first,
        received_at__lt=count.end,
    )
    for fact in _as_counted(within.order_by("received_at", "pk")):
        values = count.health[starts_of(fact.received_at, zone)[0]]
        for measure, number in enumerate(health_of(fact.counted, is_mended=fact.is_mended)):
            values[measure] += number
    repeated = within.filter(delivery_count__gt=1).values_list("received_at", "delivery_count")
    for received_at, deliveries in repeated.iterator(chunk_size=2000):
        count.health[starts_of(received_at, zone)[0]][-1] += deliveries - 1


def _as_counted(rows: EventLogQuerySet) -> Iterator[Fact]:
    """Yields the rows as the worker has counted them: open ones as they were at its last check."""
    opened: Mapping[int, OpenEvent] = OpenEvent.objects.in_bulk()
    for fact in facts(rows):
        row = opened.get(fact.pk)
        if row is not None:
            fact = fact._replace(counted=counted_before(row, fact.counted))
        yield fact


# --- Writing -------------------------------------------------------------------------------------


def _write(
    account_id: int, count: _Count, state: AccountStatistics, counted_to: int
) -> Iterator[Difference]:
    frozen = state.frozen_before
    yield from _write_counts(account_id, count, frozen)
    yield from _write_health(account_id, count, frozen and frozen + _DELIVERY)
    for start, stored, counted in recount_unanswered(
        account_id, count.first, count.end, counted_to=counted_to, frozen=frozen
    ):
        yield Difference("events that nobody answered", start, stored, counted)


def _write_counts(
    account_id: int, count: _Count, frozen: datetime.datetime | None
) -> Iterator[Difference]:
    rows = PeriodCount.objects.filter(
        Among("series", Series.objects.filter(account=account_id).values("pk")),
        period__in=PeriodCount.Period.values,
        start__gte=count.first,
        start__lt=count.end,
    )
    if frozen is not None:
        rows = rows.filter(start__gte=frozen)
    stored: dict[tuple[SeriesKey, int, datetime.datetime], _Values] = {}
    names = ("series__kind", "series__key", "period", "start", *MEASURES)
    for kind, key, period, start, *values in rows.values_list(*names):
        stored[(account_id, kind, key), _PLACES[period], start] = values
    deltas: Deltas = defaultdict(lambda: [0] * len(MEASURES))
    for where in sorted(stored.keys() | count.deltas.keys()):
        series_key, place, start = where
        if frozen is not None and start < frozen:
            continue
        zero = [0] * len(MEASURES)
        was, now = stored.get(where, zero), count.deltas.get(where, zero)
        deltas[where] = [new - old for new, old in zip(now, was, strict=True)]
        _, kind, key = series_key
        for name, old, new in zip(MEASURES, was, now, strict=True):
            if old != new:
                what = f"{name} of {kind} {key!r} by {_PERIODS[place].value}"
                yield Difference(what, start, old, new)
    series = stored_series({key for key, _, _ in deltas} | {key for key, _ in count.seen})
    add_deltas(deltas, series)
    rows.filter(events=0, people=0).delete()
    if count.end > timezone.now() - SEEN_FOR:
        note_seen({(openid, series[key]): at for (key, openid), at in count.seen.items()})


def _write_health(
    account_id: int, count: _Count, frozen: datetime.datetime | None
) -> Iterator[Difference]:
    names = (*HEALTH_MEASURES, "repeated")
    rows = HealthCount.objects.filter(
        account=account_id, start__gte=count.first, start__lt=count.end
    )
    if frozen is not None:
        rows = rows.filter(start__gte=frozen)
    stored = {start: values for start, *values in rows.values_list("start", *names)}
    changed: set[datetime.datetime] = set()
    for start in sorted(stored.keys() | count.health.keys()):
        if frozen is not None and start < frozen:
            continue
        zero = [0] * len(names)
        was, now = stored.get(start, zero), count.health.get(start, zero)
        for name, old, new in zip(names, was, now, strict=True):
            if old != new:
                changed.add(start)
                yield Difference(f"{name} of pushes by hour", start, old, new)
    rows.filter(start__in=changed).delete()
    HealthCount.objects.bulk_create(
        HealthCount(
            account_id=account_id,
            start=start,
            **dict(zip(names, count.health[start], strict=True)),
        )
        for start in sorted(changed)
        if start in count.health
    )
