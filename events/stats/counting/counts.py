"""Counts events and distinct people by hour, day, week and month.

A person counts once in a period, at the first counted event of that period. For events in the order
of their times it is enough to know when the person was last seen (`LastSeen`): the person is new in
every period that begins after that. For a late event this module reads the person's other events
from the log. So the count of people is exact for any order, and needs no row per person and day.
"""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from django.db import connection

from events.db.lookup import Lookup
from events.db.upsert import Upsert
from events.models import EventLog, LastSeen, OpenEvent, PeriodCount
from events.stats.changes import Batch, counter
from events.stats.facts import MEASURES, PEOPLE, Counted, facts
from events.stats.periods import Period, microseconds, next_start, starts_at
from events.stats.series import SeriesKey, stored_series

__all__ = ["Deltas", "add_deltas", "count_events", "measures", "note_seen"]

_PERIODS = tuple(Period)

# A series, and the OpenID of a person in it.
_PersonInSeries: TypeAlias = "tuple[SeriesKey, str]"
# OpenID and id of the series.
_Seen: TypeAlias = "tuple[str, int]"
# All that the counts take of an event: its series, the starts of its hour, day, week and month, how
# it counts now, and how it was counted before.
_Alike: TypeAlias = "tuple[tuple[SeriesKey, ...], tuple[datetime.datetime, ...], Counted, Counted]"
# Sums in the order of MEASURES, by series, position of the period in Period, and its start.
Deltas: TypeAlias = "defaultdict[tuple[SeriesKey, int, datetime.datetime], list[int]]"


@counter
def count_events(batch: Batch) -> None:
    """Adds a batch to the counts of events and people."""
    # Most events of a quarter of an hour count in the same way, so add them up first.
    alike: defaultdict[_Alike, int] = defaultdict(int)
    arrivals: defaultdict[_PersonInSeries, list[int]] = defaultdict(list)
    for change in batch.changes:
        fact, before = change
        at = microseconds(fact.event_time)
        starts = starts_at(at, batch.zones[fact.account_id])
        alike[fact.series, starts, fact.counted, before] += 1
        if fact.openid and change.is_new_event:
            for key in fact.series:
                arrivals[key, fact.openid].append(at)
    deltas: Deltas = defaultdict(lambda: [0] * len(MEASURES))
    for (series_keys, starts, counted, before), number in alike.items():
        difference = _difference(counted, before)
        if not any(difference):
            continue
        for key in series_keys:
            for place, start in enumerate(starts):
                values = deltas[key, place, start]
                for measure, more in enumerate(difference):
                    values[measure] += more * number
    series = stored_series({key for key, _, _ in deltas} | {key for key, _ in arrivals})
    _count_people(batch, arrivals, series, deltas)
    add_deltas(deltas, series)


def measures(counted: Counted) -> tuple[int, ...]:
    """Returns what one event adds to a count; people are counted separately."""
    return (
        int(counted.is_event),
        0,
        int(counted.outcome == "answered"),
        int(counted.outcome == "unanswered"),
        counted.waited_ms,
    )


def _difference(counted: Counted, before: Counted) -> tuple[int, ...]:
    pairs = zip(measures(counted), measures(before), strict=True)
    return tuple(now - was for now, was in pairs)


def _count_people(
    batch: Batch,
    arrivals: Mapping[_PersonInSeries, list[int]],
    series: Mapping[SeriesKey, int],
    deltas: Deltas,
) -> None:
    rows = _last_seen_lookup().execute(
        connection, ((openid, series[key]) for key, openid in arrivals)
    )
    seen: dict[_Seen, int] = {(openid, pk): at for openid, pk, at in rows}
    floors = {pk: microseconds(moment) for pk, moment in batch.seen_since.items()}
    late: dict[_PersonInSeries, list[int]] = {}
    newest: dict[_Seen, int] = {}
    for person, moments in arrivals.items():
        key, openid = person
        moments.sort()
        seen_key = (openid, series[key])
        last = seen.get(seen_key)
        if moments[0] < (floors.get(key[0], moments[0]) if last is None else last):
            late[person] = moments
        else:
            _count_in_order(key, moments, last, batch.zones[key[0]], deltas)
        if last is None or last < moments[-1]:
            newest[seen_key] = moments[-1]
    if late:
        others = _times_of_other_events(batch, late)
        for (key, openid), moments in late.items():
            zone = batch.zones[key[0]]
            known = {
                pair
                for moment in others[key, openid]
                for pair in enumerate(starts_at(moment, zone))
            }
            for moment in moments:
                for pair in enumerate(starts_at(moment, zone)):
                    if pair not in known:
                        known.add(pair)
                        deltas[key, *pair][PEOPLE] += 1
    note_seen(newest)


def _count_in_order(
    key: SeriesKey,
    moments: Iterable[int],
    last: int | None,
    zone: zoneinfo.ZoneInfo,
    deltas: Deltas,
) -> None:
    """Counts the events of a person whose last event in this series is older than all of them."""
    former = None if last is None else starts_at(last, zone)
    for moment in moments:
        starts = starts_at(moment, zone)
        if starts is former:
            continue
        for place, start in enumerate(starts):
            if former is None or former[place] != start:
                deltas[key, place, start][PEOPLE] += 1
        former = starts


@functools.cache
def _last_seen_lookup() -> Lookup:
    return Lookup(LastSeen, key=("openid", "series_id"), columns=("openid", "series_id", "at"))


def _times_of_other_events(
    batch: Batch, late: Mapping[_PersonInSeries, Sequence[int]]
) -> Mapping[_PersonInSeries, list[int]]:
    """Returns the times of these people's counted events in the periods of the late events."""
    spans: dict[tuple[int, str], tuple[datetime.datetime, datetime.datetime]] = {}
    for (key, openid), moments in late.items():
        zone = batch.zones[key[0]]
        for moment in moments:
            _, _, week, month = starts_at(moment, zone)
            first = min(week, month)
            end = max(next_start(week, Period.WEEK, zone), next_start(month, Period.MONTH, zone))
            known = spans.get((key[0], openid), (first, end))
            spans[key[0], openid] = (min(known[0], first), max(known[1], end))
    arriving = {change.fact.pk for change in batch.changes if change.is_new_event}
    found: defaultdict[_PersonInSeries, list[int]] = defaultdict(list)
    rows = (
        EventLog.objects.filter(
            # No filter by account: with one, SQLite would read all of its events of this time.
            openid__in={openid for _, openid in spans},
            event_time__gte=min(first for first, _ in spans.values()),
            event_time__lt=max(end for _, end in spans.values()),
            pk__lte=batch.counted_to,
        )
        # With this condition SQLite can use the partial index on openid.
        .exclude(openid="")
    )
    near = [fact for fact in facts(rows) if fact.counted.is_event and fact.pk not in arriving]
    # These rows are events now, but were quarantined when they were counted.
    uncounted = set(
        OpenEvent.objects.filter(
            pk__in=[fact.pk for fact in near], status=EventLog.Status.QUARANTINED
        ).values_list("pk", flat=True)
    )
    for fact in near:
        if fact.pk in uncounted:
            continue
        for key in fact.series:
            if (key, fact.openid) in late:
                found[key, fact.openid].append(microseconds(fact.event_time))
    return found


# --- Writing -------------------------------------------------------------------------------------


@functools.cache
def _count_upsert() -> Upsert:
    return Upsert(
        PeriodCount,
        key=("series_id", "period", "start"),
        values=MEASURES,
        update={name: f"old.{name} + excluded.{name}" for name in MEASURES},
    )


@functools.cache
def _last_seen_upsert() -> Upsert:
    return Upsert(
        LastSeen,
        key=("openid", "series_id"),
        values=("at",),
        update={"at": "{greatest}(old.at, excluded.at)"},
    )


def add_deltas(deltas: Deltas, series: Mapping[SeriesKey, int]) -> None:
    """Adds differences to the stored counts."""
    rows = sorted(
        (series[key], _PERIODS[place].code, start, *values)
        for (key, place, start), values in deltas.items()
        if any(values)
    )
    if rows:
        _count_upsert().execute(connection, rows)


def note_seen(last: Mapping[_Seen, int]) -> None:
    """Stores when people were last seen, in microseconds, by OpenID and series."""
    if last:
        _last_seen_upsert().execute(
            connection, sorted((*person, at) for person, at in last.items())
        )
